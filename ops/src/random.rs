//! `random`.
