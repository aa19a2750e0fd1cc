//! The program from outside: the real binary, real sockets, one file for each behaviour.

#![allow(clippy::unwrap_used, clippy::cast_possible_truncation)]

mod access;
mod aftermath;
mod audit_files;
mod bad_input;
mod cli;
mod demo;
mod estate;
mod harness;
mod intake;
mod kills;
mod limits;
mod login;
mod own_audit;
mod rights;
mod signer;
mod swr;
mod syscall_faults;
mod tidy;
mod tls;
mod transcripts;
mod traps;
mod walks;
