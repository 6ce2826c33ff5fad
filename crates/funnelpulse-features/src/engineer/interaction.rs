//! Products of columns.

/// The pairs that are meaningful for a funnel; those whose columns exist are made by default.
pub(super) const DEFAULT: [[&str; 2]; 3] =
    [["conversion_rate", "is_weekend"], ["conversion_rate", "is_business_hours"], ["views", "average_order_value"]];

/// The name of a product.
pub(super) fn name(pair: [&str; 2]) -> String {
    pair.join("_x_")
}
