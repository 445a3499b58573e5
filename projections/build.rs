//! Embeds the migrations again when one is added or changed.

#[expect(clippy::print_stdout, reason = "a build script speaks to cargo by standard output")]
fn main() {
    println!("cargo:rerun-if-changed=../migrations");
}
