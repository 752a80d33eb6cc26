-- Clicks of two policies, and the comparison of the two, as the role of dashboards. Variables: first, last (times).
\set QUIET on
\pset footer off
\pset null '-'
\pset linestyle unicode
\pset border 1

\echo '-- Click-through by policy and campaign: positive clicks per impression, Wilson''s 95 % interval'
SELECT c.campaign, v.version AS policy, r.prediction_count AS impressions, r.positive_count AS clicks,
       round(100 * r.positive_rate::numeric, 3) AS "rate %",
       '[' || round(100 * r.positive_lower::numeric, 3) || ', ' || round(100 * r.positive_upper::numeric, 3) || ']' AS "95 %"
FROM (VALUES (1, 'all'), (2, 'men'), (3, 'women')) AS c(place, campaign)
CROSS JOIN (VALUES (1, 'random'), (2, 'bts')) AS v(place, version)
CROSS JOIN LATERAL nadi.outcome_rates('recommender', :'first', :'last', versions => ARRAY[v.version], slice_key => 'campaign',
                                      slice_values => ARRAY[c.campaign]) AS r
WHERE r.outcome_name = 'click'
ORDER BY c.place, v.place;

\echo '-- bts against random, campaign by campaign and over all of them'
SELECT c.campaign, d.measure, d.first_count AS "n random", round(100 * d.first_value::numeric, 3) AS "random %", d.second_count AS "n bts",
       round(100 * d.second_value::numeric, 3) AS "bts %", round(100 * d.difference::numeric, 3) AS "difference %",
       '[' || round(100 * d.lower::numeric, 3) || ', ' || round(100 * d.upper::numeric, 3) || ']' AS "95 %",
       round(d.p_value::numeric, 4) AS p, d.comparison_state AS "bts is"
FROM (VALUES (1, 'all'), (2, 'men'), (3, 'women'), (4, '(every)')) AS c(place, campaign)
CROSS JOIN LATERAL nadi.compare_versions(
    'recommender', :'first', :'last', 'random', 'bts',
    slice_key => CASE WHEN c.place < 4 THEN 'campaign' ELSE 'all' END,
    slice_values => CASE WHEN c.place < 4 THEN ARRAY[c.campaign] END) AS d
WHERE d.measure = 'click_through'
ORDER BY c.place;
