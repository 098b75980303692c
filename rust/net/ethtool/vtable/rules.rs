// SPDX-License-Identifier: GPL-2.0

//! Callbacks for receive rules.

use super::{
    slice_mut,
    VTable, //
};
use crate::{
    bindings,
    net::{
        device::control_callbacks,
        ethtool::{
            flow::{
                FlowAction,
                FlowRule, //
            },
            operations::Operations, //
        }, //
    }, //
};
use kernel::prelude::*;

impl<T: Operations> VTable<T> {
    control_callbacks! {
        /// `locations` has room for `rule_cnt` locations in `ETHTOOL_GRXCLSRLALL`.
        pub(super) fn get_rxnfc(
            cx,
            info: mut bindings::ethtool_rxnfc,
            locations: val *mut u32,
        ) -> Result {
            let rules = T::rules(cx);
            match info.cmd {
                bindings::ETHTOOL_GRXCLSRLCNT => {
                    info.data = (T::RULES | bindings::RX_CLS_LOC_SPECIAL).into();
                }
                bindings::ETHTOOL_GRXCLSRLALL => {
                    info.data = T::RULES.into();
                    // SAFETY: The core allocated room for that many; the union is one integer with
                    // two names.
                    let room = unsafe {
                        slice_mut(locations, info.__bindgen_anon_1.rule_cnt as usize)
                    };
                    if room.len() < rules.len() {
                        return Err(EMSGSIZE);
                    }
                    for (to, rule) in room.iter_mut().zip(rules) {
                        *to = rule.location();
                    }
                }
                bindings::ETHTOOL_GRXCLSRULE => {
                    let location = info.fs.location;
                    let rule = rules.iter().find(|rule| rule.location() == location);
                    let rule = rule.ok_or(ENOENT)?;
                    info.fs = rule.spec;
                    info.data = T::RULES.into();
                    info.__bindgen_anon_1.rss_context = rule.context;
                    return Ok(());
                }
                _ => return Err(EOPNOTSUPP),
            }
            // CAST: at most one for each location.
            info.__bindgen_anon_1.rule_cnt = rules.len() as u32;
            Ok(())
        }

        /// The core has checked that the RSS context exists.
        pub(super) fn set_rxnfc(cx, info: mut bindings::ethtool_rxnfc) -> Result {
            match info.cmd {
                bindings::ETHTOOL_SRXCLSRLINS => {
                    let rule = FlowRule {
                        spec: info.fs,
                        context: match info.fs.flow_type & bindings::FLOW_RSS {
                            0 => 0,
                            // SAFETY: The union is one integer with two names.
                            _ => unsafe { info.__bindgen_anon_1.rss_context },
                        },
                    };
                    let location = allocate(T::rules(cx), rule.location(), T::RULES)?;
                    if let FlowAction::Queue(queue) = rule.action()? {
                        if queue >= T::channels(cx).count {
                            return Err(EINVAL);
                        }
                    }
                    T::set_rule(cx, rule.at(location))?;
                    info.fs.location = location;
                    Ok(())
                }
                bindings::ETHTOOL_SRXCLSRLDEL => T::remove_rule(cx, info.fs.location),
                _ => Err(EOPNOTSUPP),
            }
        }
    }
}

/// The location for a rule that requests `wanted`, out of `count` locations.
fn allocate(rules: &[FlowRule], wanted: u32, count: u32) -> Result<u32> {
    let free = |location: &u32| !rules.iter().any(|rule| rule.location() == *location);
    match wanted {
        bindings::RX_CLS_LOC_ANY | bindings::RX_CLS_LOC_FIRST => {
            (0..count).find(free).ok_or(ENOSPC)
        }
        bindings::RX_CLS_LOC_LAST => (0..count).rev().find(free).ok_or(ENOSPC),
        location if location < count => Ok(location),
        _ => Err(EINVAL),
    }
}
