//! The stages of a request, in the order of the data's way.

pub mod authenticate;

pub mod admit;

pub mod decode;

pub mod identify;

pub mod claim;

pub mod validate;

pub mod evaluate;

pub mod deliver;

pub mod acknowledge;
