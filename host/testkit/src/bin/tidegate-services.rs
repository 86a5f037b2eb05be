//! Starts the services that tests start and keeps them until Ctrl-C:
//! `cargo xtask services`.

#![allow(clippy::print_stdout, reason = "a command line speaks by printing")]

fn main() {
    // Taken away by its keeper, also where Ctrl-C ends this.
    let postgres = tidegate_testkit::Postgres::start();
    println!("TIDEGATE_CATALOG__URL={}", postgres.create_database());
    println!("(a gateway built with `--features postgres` takes it; Ctrl-C stops the server)");
    loop {
        std::thread::park();
    }
}
