// SPDX-License-Identifier: GPL-2.0

//! Binding of a function to the driver.

use super::{
    adapter::{
        Adapter,
        Settings, //
    },
    function::{
        Enabled,
        Function,
        Properties, //
    },
    irq::Interrupts,
    limits::Recoveries,
    registers::Registers,
    ring_sizes::RingSizes, //
};
use crate::{
    abi::{
        self,
        admin::{
            storage,
            MIN_MTU, //
        },
        feature,
        regs, //
    },
    net::{
        device::{
            Registration,
            Unregistered, //
        },
        ethtool::Coalesce,
        netdev::feature as netif, //
    },
    offload::{
        Client,
        Handle, //
    },
    util::{
        pci::DmaDriver,
        workqueue::Periodic, //
    }, //
};
use core::marker::PhantomData;
use kernel::{
    device::Bound,
    dma::DmaMask,
    pci,
    prelude::*,
    sync::Arc, //
};

/// MTU of a new interface in bytes.
const DEFAULT_MTU: u32 = 1500;
/// Largest MTU that the driver supports, in bytes.
const MAX_MTU: u32 = 9000;
/// Interval of the driver's watchdog in milliseconds.
const WATCHDOG_INTERVAL: u32 = 1000;
/// Timeout of the core's transmit watchdog in milliseconds. The watchdog counts a queue that is being
/// restarted as hung, and a restart takes seconds when an emulated machine is busy. A function that has
/// failed is noticed by the driver's own watchdog within a second.
const TX_TIMEOUT: u32 = 15_000;

/// The driver, with the client `C` of the adapter's offload processors.
pub(crate) struct Driver<C>(PhantomData<fn() -> C>);

/// The driver's data of a bound function.
///
/// Fields are dropped in order: the watchdog and the interface go first, then interrupts, then the
/// function is reset.
pub(crate) struct BoundFunction<'bound, C: Client> {
    _watchdog: Periodic<Adapter<C>>,
    _registration: Registration<Adapter<C>>,
    _interrupts: Interrupts<'bound>,
    _enabled: Enabled<'bound>,
    _gone: Gone<C>,
}

/// Tells the client on drop that the interface is gone.
struct Gone<C: Client>(Arc<Adapter<C>>);

impl<C: Client> Drop for Gone<C> {
    fn drop(&mut self) {
        C::gone(&Handle::new(self.0.clone()));
    }
}

kernel::pci_device_table!(
    TABLE,
    (),
    [(
        pci::DeviceId::from_id(pci::Vendor::REDHAT_QUMRANET, regs::DEVICE_ID as u32),
        ()
    )]
);

/// Returns the interface's features for the adapter's `offered` features: all of them, and those
/// that the user can change.
fn features(offered: u64) -> (u64, u64) {
    let mut features = netif::SG | netif::HIGHDMA;
    // RXCSUM stays on: a frame that never left a machine has no checksum that the stack could
    // verify.
    let mut fixed = netif::HIGHDMA | netif::RXCSUM;
    for (bit, netif) in [
        (feature::TX_CSUM, netif::HW_CSUM),
        (feature::TSO4, netif::TSO),
        (feature::TSO6, netif::TSO6),
        (feature::USO, netif::GSO_UDP_L4),
        (feature::RX_CSUM, netif::RXCSUM),
        (feature::RSS, netif::RXHASH),
        (feature::GRO, netif::GRO_HW),
        (feature::RULES, netif::NTUPLE),
    ] {
        if offered & bit != 0 {
            features |= netif;
        }
    }
    if offered & feature::VLAN != 0 {
        features |= netif::HW_VLAN_CTAG_TX | netif::HW_VLAN_CTAG_RX;
        fixed |= netif::HW_VLAN_CTAG_RX;
    }
    (features, features & !fixed)
}

/// Sets up an interface that is not registered yet, and returns its settings.
fn prepare<C: Client>(
    netdev: &mut Unregistered<'_, Adapter<C>>,
    properties: &Properties,
) -> Result<Settings> {
    netdev.set_ethtool();
    netdev.set_queue_management();
    netdev.set_mac(properties.mac);
    netdev.set_mtu(
        DEFAULT_MTU,
        MIN_MTU,
        properties.max_mtu.clamp(DEFAULT_MTU, MAX_MTU),
    );
    let (features, switchable) = features(properties.features);
    netdev.set_features(features, switchable, features & !netif::HW_VLAN_CTAG_RX);
    netdev.set_watchdog(TX_TIMEOUT);
    netdev.set_split_threshold(abi::SMALL_FRAME.into());
    Ok(Settings {
        up: false,
        mtu: DEFAULT_MTU,
        mac: netdev.mac(),
        filter_flags: 0,
        multicast: KVec::new(),
        coalesce: Coalesce::default(),
        storage: match properties.features & feature::GRO {
            0 => storage::SPLIT,
            _ => storage::SPLIT | storage::GRO,
        },
        small_frame: abi::SMALL_FRAME,
        sizes: RingSizes::default_for(properties.pages)?,
        rules: KVec::new(),
        recoveries: Recoveries::new(),
    })
}

impl<C: Client> DmaDriver for Driver<C> {
    type Data<'bound> = BoundFunction<'bound, C>;
    const ID_TABLE: pci::IdTable<()> = &TABLE;
    const DMA_MASK: DmaMask = DmaMask::new::<52>();

    fn probe(pdev: &pci::Device<Bound>) -> Result<BoundFunction<'_, C>> {
        let dev = pdev.as_ref();
        let registers = Registers::new(pdev)?;
        let properties = Properties::read(pdev, &registers)?;
        let processors = properties.processors;
        let mut netdev = Unregistered::new(dev, processors.into())?;
        let function = Function::new(dev, registers, properties, netdev.allocation())?;
        let adapter = Adapter::new(dev, function.clone(), netdev.allocation())?;
        let gone = Gone(adapter.clone());
        let enabled = Enabled::new(dev, function.clone())?;

        let settings = prepare(&mut netdev, &properties)?;
        adapter.apply(dev, &settings)?;

        let interrupts = Interrupts::request(pdev, &adapter)?;
        let registration = netdev.register(adapter.clone(), settings)?;
        function.recheck_fault();
        dev_info!(
            pdev,
            "{} processors, {} connections each, features {:#x}\n",
            processors,
            properties.connections,
            properties.features
        );
        Ok(BoundFunction {
            _watchdog: Periodic::new(adapter, WATCHDOG_INTERVAL)?,
            _registration: registration,
            _interrupts: interrupts,
            _enabled: enabled,
            _gone: gone,
        })
    }
}
