//! Each wall is really run against, and each attack is shown to succeed where the walls that stop it are left out: else the test
//! would show nothing. Attackers are `sh` and `perl`, which are on every Debian.

mod files;
mod kernel;
mod life;
mod limits;
mod outside;
mod report;
mod stage;
