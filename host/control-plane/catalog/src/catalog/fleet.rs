//! Several nodes under one catalog: a number that counts changes to what nodes are to run, word of it
//! to each node, and what each node reports.

pub mod desired;

pub mod nodes;

pub mod watch;
