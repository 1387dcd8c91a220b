-- y is the outcome; z is the control that drives both spend and sales.
SELECT CASE series_id WHEN 'y' THEN 'sales' ELSE series_id END AS series_id, date AS observed_at, value
FROM (
    UNPIVOT read_csv(getvariable('data') || '/pymc_mmm_roas/mmm_roas_data.csv')
    ON y, z
    INTO NAME series_id VALUE value
)
