//! A new migration must rebuild this crate: `sqlx::migrate!` alone only notices edits.

fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
