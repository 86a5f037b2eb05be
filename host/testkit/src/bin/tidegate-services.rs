//! Starts services that tests start, those whose names are given, and keeps them until Ctrl-C:
//! `cargo xtask services`.

#![allow(clippy::print_stdout, reason = "a command line speaks by printing")]

use tidegate_testkit::{AwsServer, Kafka, Oidc, Postgres, Redis, S3};

fn main() {
    // Taken away by their keepers, also where Ctrl-C ends this.
    let (mut postgres, mut redis, mut oidc, mut s3) = (None, None, None, None);
    let (mut kafka, mut kinesis, mut moto) = (None, None, None);
    for name in std::env::args().skip(1) {
        match name.as_str() {
            "postgres" => {
                let server = postgres.get_or_insert_with(Postgres::start);
                println!("TIDEGATE_CATALOG__URL={}", server.create_database());
            }
            "redis" => {
                let server = redis.get_or_insert_with(Redis::start);
                println!("TIDEGATE_REDIS__URL={}", server.url());
                println!("TIDEGATE_DEDUP__STORE=redis\nTIDEGATE_QUOTAS__STORE=redis");
            }
            "oidc" => {
                let server = oidc.get_or_insert_with(Oidc::start);
                println!("TIDEGATE_JWT__ISSUERS='{}'", server.as_setting());
                println!("(a token: curl -s {} {})", Oidc::FORM, server.tokens());
            }
            "s3" => {
                let server = s3.get_or_insert_with(S3::start);
                let (key, secret) = server.credentials();
                println!("AWS_ENDPOINT_URL={}", server.endpoint());
                println!("AWS_ACCESS_KEY_ID={key}\nAWS_SECRET_ACCESS_KEY={secret}");
                println!("AWS_DEFAULT_REGION=us-east-1");
            }
            "kafka" => {
                let broker = kafka.get_or_insert_with(Kafka::start).bootstrap();
                println!(
                    "TIDEGATE_SINKS__KAFKA='[{{name=\"events\",topic=\"events\",bootstrap=\"{broker}\"}}]'"
                );
            }
            "kinesis" => {
                let (strict, streaming) = kinesis
                    .get_or_insert_with(|| (AwsServer::kinesalite(), AwsServer::kinesis_local()));
                println!("(kinesalite, strict on limits: {})", strict.endpoint());
                println!("(kinesis-local, with SubscribeToShard: {})", streaming.endpoint());
                println!("(moto: {})", moto.get_or_insert_with(AwsServer::moto).endpoint());
            }
            "dynamodb" | "sqs" | "cloudwatch" => {
                let endpoint = moto.get_or_insert_with(AwsServer::moto).endpoint();
                println!("AWS_ENDPOINT_URL_{}={endpoint}", name.to_uppercase());
            }
            other => panic!("there is no service `{other}`"),
        }
    }
    println!(
        "(a gateway built with `--features postgres,redis,jwt,kafka,kinesis,s3` takes them; Ctrl-C stops all)"
    );
    loop {
        std::thread::park();
    }
}
