//! Safe code may claim anything: what generated code relies on is checked, in every build. A false claim ends in an
//! error.

mod arrays;
mod primitives;
mod programs;
mod rules;
mod segments;
mod sizes;

use gavotte_tests::refused::{assert_has, refused};
