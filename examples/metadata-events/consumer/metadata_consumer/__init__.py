"""A consumer: polls a stream of Kinesis, goes on where it was, and replays what the stream still has."""
