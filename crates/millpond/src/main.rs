//! millpond
fn main() {}
