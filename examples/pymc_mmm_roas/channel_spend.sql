SELECT channel, date AS spent_on, amount
FROM (
    UNPIVOT read_csv(getvariable('data') || '/pymc_mmm_roas/mmm_roas_data.csv')
    ON x1, x2
    INTO NAME channel VALUE amount
)
