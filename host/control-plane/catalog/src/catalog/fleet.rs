//! Several nodes under one catalog: a number that counts changes to what nodes are to run, word of it
//! to each node, whose a node's name is, what each node reports, and the jobs that it has taken on.

pub mod desired;

pub mod bulk;

pub mod names;

pub mod nodes;

pub mod prepare;

pub mod watch;
