//! What tests of several crates share: a reference model of the lake, and lakes that are made for being broken.

pub mod between;
pub mod lab;
pub mod model;
