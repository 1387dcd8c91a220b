"""How each model learns, decides and is judged; imported only when a model is used."""
