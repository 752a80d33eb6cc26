-- A reference with the edges of the table `given`, in force for the model `credit` since ever. Its counts are made up: even
-- between its first edge and its last.
INSERT INTO nadi_store.model (model_name) VALUES ('credit');
INSERT INTO nadi_store.reference (model_id, reference_name, source, row_count, sampled_from, label_count, task, calibration)
SELECT model_id, 'benchmark', 'a file', 20000, 20000, 0, 'binary', 'none' FROM nadi_store.model;
INSERT INTO nadi_store.edge_set SELECT reference_id, reference_name FROM nadi_store.reference;
INSERT INTO nadi_store.feature (model_id, role, feature_name)
SELECT model_id, 'feature', feature FROM nadi_store.model, given ORDER BY 3;
INSERT INTO nadi_store.reference_feature
SELECT r.reference_id, f.feature_id, 'numeric', 20000, 0, 0, 0, 0, 0, 1, g.edges[1], g.edges[cardinality(g.edges)], g.edges,
       (SELECT array_agg(CASE WHEN i IN (0, cardinality(g.edges)) THEN 0 ELSE 20000 / (cardinality(g.edges) - 1) END ORDER BY i)
        FROM generate_series(0, cardinality(g.edges)) AS i),
       (SELECT array_agg(least(9, i * 10 / (cardinality(g.edges) + 1)) ORDER BY i) FROM generate_series(0, cardinality(g.edges)) AS i),
       '{}', '{}', '{}', '{}', 0, 0
FROM given AS g JOIN nadi_store.feature AS f ON f.feature_name = g.feature CROSS JOIN nadi_store.reference AS r;
INSERT INTO nadi_store.reference_activation (model_id, effective_from, reference_id)
SELECT model_id, '2000-01-01', reference_id FROM nadi_store.reference;
