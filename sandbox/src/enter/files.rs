//! Landlock: the same files as the root shows, held by another part of the kernel. It also forbids TCP, signals and abstract sockets to
//! processes outside, as far as the kernel knows how.

use super::root::{DEVICES, SYSTEM};
use crate::wire::Order;
use landlock::{
    ABI, Access, AccessFs, AccessNet, BitFlags, CompatLevel, Compatible, Ruleset, RulesetAttr,
    RulesetCreatedAttr, RulesetStatus, Scope, path_beneath_rules,
};

/// What we ask for; older kernels give less.
const ASKED: ABI = ABI::V6;

/// Restricts this process and what it starts. Without a root of its own, `/tmp` and `/proc` are everybody's, and it gets neither. A remark
/// where the kernel enforces only a part.
pub fn restrict(order: &Order, own_root: bool) -> Result<Option<String>, String> {
    let status = ruleset(order, own_root).map_err(|error| error.to_string())?;
    match status {
        RulesetStatus::FullyEnforced => Ok(None),
        RulesetStatus::PartiallyEnforced => Ok(Some(
            "landlock: this kernel enforces a part of it (files, but not all of network and signals)".into(),
        )),
        RulesetStatus::NotEnforced => Err("this kernel has no Landlock, or it is not switched on".into()),
    }
}

fn ruleset(order: &Order, own_root: bool) -> Result<RulesetStatus, landlock::RulesetError> {
    let run = AccessFs::from_read(ASKED);
    let read: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::ReadDir;
    // Everything but running it: what a script wrote is not a program.
    let write = AccessFs::from_all(ASKED) & !BitFlags::from(AccessFs::Execute);
    let device: BitFlags<AccessFs> = AccessFs::ReadFile | AccessFs::WriteFile;
    let status = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_all(ASKED))?
        .handle_access(AccessNet::from_all(ASKED))?
        .scope(Scope::from_all(ASKED))?
        .create()?
        .add_rules(path_beneath_rules(SYSTEM, run))?
        .add_rules(path_beneath_rules(DEVICES, device))?
        .add_rules(path_beneath_rules(&order.read, read))?
        .add_rules(path_beneath_rules(&order.write, write))?
        .add_rules(path_beneath_rules(own_root.then_some("/tmp"), write))?
        .add_rules(path_beneath_rules(own_root.then_some("/proc"), read))?
        .restrict_self()?;
    Ok(status.ruleset)
}
