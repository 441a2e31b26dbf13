//! Whole answers, seen from outside.

mod shape;
