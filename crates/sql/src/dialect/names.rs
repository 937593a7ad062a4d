//! Names of functions: the engine's that Trino has too, and Trino's that are not carried out.
//!
//! Trino documentation, "List of functions and operators".

/// Trino's names, and the engine's where it has another. The meaning of each was looked at.
pub const ENGINES: &[(&str, &str)] = &[
    // Conditions.
    ("coalesce", ""),
    ("nullif", ""),
    // Arrays and maps.
    ("map", "$map"),
    // Texts.
    ("concat_ws", ""),
    ("lower", ""),
    ("ltrim", ""),
    ("replace", ""),
    ("rtrim", ""),
    ("starts_with", ""),
    ("trim", "btrim"),
    ("upper", ""),
    // Numbers.
    ("abs", ""),
    ("ceil", ""),
    ("ceiling", "ceil"),
    ("floor", ""),
    ("rand", "random"),
    ("random", ""),
    ("round", ""),
    ("uuid", ""),
    // Aggregates.
    ("any_value", ""),
    ("approx_distinct", ""),
    ("arbitrary", "any_value"),
    ("array_agg", ""),
    ("bool_and", ""),
    ("bool_or", ""),
    ("corr", ""),
    ("count", ""),
    ("covar_pop", ""),
    ("covar_samp", ""),
    ("every", "bool_and"),
    ("grouping", ""),
    ("max", ""),
    ("min", ""),
    ("regr_intercept", ""),
    ("regr_slope", ""),
    ("stddev", ""),
    ("stddev_pop", ""),
    ("stddev_samp", "stddev"),
    ("var_pop", ""),
    ("var_samp", "var_sample"),
    ("variance", "var_sample"),
    ("bitwise_and_agg", "bit_and"),
    ("bitwise_or_agg", "bit_or"),
    ("bitwise_xor_agg", "bit_xor"),
    // Windows.
    ("cume_dist", ""),
    ("dense_rank", ""),
    ("first_value", ""),
    ("lag", ""),
    ("last_value", ""),
    ("lead", ""),
    ("nth_value", ""),
    ("ntile", ""),
    ("percent_rank", ""),
    ("rank", ""),
    ("row_number", ""),
    // Tables.
    ("unnest", ""),
];

/// The engine's functions whose numbers are `bigint` in Trino, and here have no sign or another size.
pub const BIGINTS: &[&str] =
    &["approx_distinct", "bit_and", "bit_or", "bit_xor", "dense_rank", "ntile", "rank", "row_number"];

/// Trino's name of one of the engine's functions.
pub fn spoken(engines: &str) -> &str {
    match engines {
        "approx_percentile_cont" | "approx_percentile_cont_with_weight" => return "approx_percentile",
        "var" => return "var_samp",
        _ => {}
    }
    let is_trinos = ENGINES.iter().any(|(trino, name)| *trino == engines && name.is_empty());
    let other = ENGINES.iter().find(|(_, name)| *name == engines).map(|(trino, _)| *trino);
    other.filter(|_| !is_trinos).unwrap_or(engines)
}

/// Functions of Trino's that are not carried out.
pub const REFUSED: &[&str] = &[
    "approx_most_frequent",
    "approx_set",
    "bar",
    "beta_cdf",
    "bing_tile",
    "bing_tile_at",
    "bing_tile_coordinates",
    "bing_tile_polygon",
    "bing_tile_quadkey",
    "bing_tile_zoom_level",
    "bing_tiles_around",
    "classify",
    "color",
    "convex_hull_agg",
    "current_groups",
    "current_user",
    "empty_approx_set",
    "evaluate_classifier_predictions",
    "f_cdf",
    "features",
    "from_encoded_polyline",
    "from_geojson_geometry",
    "from_iso8601_timestamp_nanos",
    "from_unixtime_nanos",
    "geometry_from_hadoop_shape",
    "geometry_invalid_reason",
    "geometry_nearest_points",
    "geometry_to_bing_tiles",
    "geometry_union",
    "geometry_union_agg",
    "great_circle_distance",
    "hash_counts",
    "index",
    "intersection_cardinality",
    "inverse_beta_cdf",
    "jaccard_index",
    "json_array",
    "json_object",
    "json_table",
    "learn_classifier",
    "learn_libsvm_classifier",
    "learn_libsvm_regressor",
    "learn_regressor",
    "line_interpolate_point",
    "line_interpolate_points",
    "line_locate_point",
    "make_set_digest",
    "merge",
    "merge_set_digest",
    "numeric_histogram",
    "qdigest_agg",
    "quantile_at_value",
    "reduce_agg",
    "regress",
    "render",
    "rgb",
    "simplify_geometry",
    "spatial_partitioning",
    "spooky_hash_v2_32",
    "spooky_hash_v2_64",
    "t_cdf",
    "t_pdf",
    "tdigest_agg",
    "to_encoded_polyline",
    "to_geojson_geometry",
    "to_geometry",
    "to_spherical_geography",
    "value_at_quantile",
    "values_at_quantiles",
    "version",
    "word_stem",
];

/// How names of more of them begin.
pub const REFUSED_FAMILIES: &[&str] = &["st_"];
