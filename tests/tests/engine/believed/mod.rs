//! Safe code may say what it likes: what generated code relies on is checked, in every build. What is not as it was said to
//! be ends in an error.

mod arrays;
mod primitives;
mod programs;
mod rules;
mod segments;
mod sizes;

use gavotte_tests::refused::{assert_has, refused};
