-- The log bin of a number, as LogBins.code computes it (35 bins per octave, code = bin + 40000, sign kept, 0 for zero),
-- for filling tables from raw samples. The logarithm may miss an edge by one bin; the two comparisons mend that.
CREATE FUNCTION nadi_store.test_bin_code(x float8) RETURNS int LANGUAGE sql IMMUTABLE STRICT PARALLEL SAFE
RETURN CASE WHEN x = 0 THEN 0 ELSE (sign(x) * (40000 + (
    SELECT b - (CASE WHEN abs(x) < power(2::float8, b / 35::float8) THEN 1 ELSE 0 END)
             + (CASE WHEN abs(x) >= power(2::float8, (b + 1) / 35::float8) THEN 1 ELSE 0 END)
    FROM (SELECT greatest(-35770, floor(ln(abs(x)) / ln(2::float8) * 35))::int AS b) guess)))::int END;
