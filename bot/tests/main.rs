//! The doors, against a real database.

mod console;
