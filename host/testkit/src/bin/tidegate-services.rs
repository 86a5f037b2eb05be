//! Starts services that tests start, those whose names are given, and keeps them until Ctrl-C:
//! `cargo xtask services`.

#![allow(clippy::print_stdout, reason = "a command line speaks by printing")]

use tidegate_testkit::{Postgres, Redis};

fn main() {
    // Taken away by their keepers, also where Ctrl-C ends this.
    let (mut postgres, mut redis) = (None, None);
    for name in std::env::args().skip(1) {
        match name.as_str() {
            "postgres" => {
                let server = postgres.get_or_insert_with(Postgres::start);
                println!("TIDEGATE_CATALOG__URL={}", server.create_database());
            }
            "redis" => {
                let server = redis.get_or_insert_with(Redis::start);
                println!("TIDEGATE_REDIS__URL={}", server.url());
                println!("TIDEGATE_DEDUP__STORE=redis");
                println!("TIDEGATE_QUOTAS__STORE=redis");
            }
            other => panic!("there is no service `{other}`"),
        }
    }
    println!("(a gateway built with `--features postgres,redis` takes them; Ctrl-C stops them)");
    loop {
        std::thread::park();
    }
}
