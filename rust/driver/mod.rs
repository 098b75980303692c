// SPDX-License-Identifier: GPL-2.0

//! The driver of the adapter: a PCI function with an Ethernet interface on it.
//!
//! - `registers`, `admin`: the function itself, and how it is told things;
//! - `adapter`: what it is, and what is set;
//! - `irq`: its interrupts;
//! - `lifecycle`: how it is started, stopped, reshaped, brought back, lost;
//! - `sizes`, `launch`: a processor's memory, and its way into operation;
//! - `processor`, `transmit`, `receive`, `poll`: the data path of one offload processor;
//! - `xdp`: received frames as a program sees them;
//! - `operations`, `ethtool`: the interface as the core sees it;
//! - `port`: the adapter as the socket shim uses it.

mod adapter;
mod admin;
mod ethtool;
mod irq;
mod launch;
mod lifecycle;
mod operations;
mod poll;
mod port;
mod processor;
mod queues;
mod receive;
mod registers;
mod sizes;
mod steering;
mod transmit;
mod xdp;

use self::{
    adapter::{
        Adapter,
        Function,
        Settings, //
    },
    irq::Interrupts,
    registers::Registers,
    sizes::Sizes, //
};
use crate::{
    abi::{
        self,
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
    util::workqueue::Periodic, //
};
use kernel::{
    device::{
        Bound,
        Core, //
    },
    dma::{
        Device as _,
        DmaMask, //
    },
    pci,
    prelude::*,
    sync::Arc, //
};

/// How often the adapter is looked after, in milliseconds.
const TICK: u32 = 1000;
/// After how many milliseconds a transmit queue that does not move is an error.
const WATCHDOG: u32 = 5000;

/// A bound function. Fields are dropped in their order: nothing looks at the interface any more when
/// it goes, and nothing interrupts the adapter when the function is reset.
pub(crate) struct Driver<'bound, C: Client> {
    _tick: Periodic<Adapter<C>>,
    _registration: Registration<Adapter<C>>,
    _interrupts: Interrupts<'bound, C>,
    _shutdown: Shutdown<C>,
}

/// Resets the function when it is dropped, and takes leave of the shim.
struct Shutdown<C: Client>(Arc<Adapter<C>>);

impl<C: Client> Drop for Shutdown<C> {
    fn drop(&mut self) {
        self.0.shutdown();
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

/// Checks that this is an adapter that the driver knows, and enables it.
fn enable(pdev: &pci::Device<Bound>) -> Result<Function> {
    let registers = Registers::new(pdev)?;
    let magic = registers.read(regs::MAGIC);
    if magic != regs::MAGIC_VALUE {
        dev_err!(pdev, "this is no toe adapter (magic {:#x})\n", magic);
        return Err(ENODEV);
    }
    let version = registers.read(regs::VERSION);
    if version >> 16 != abi::VERSION >> 16 {
        dev_err!(
            pdev,
            "the adapter speaks version {} of the ABI, the driver version {}\n",
            version >> 16,
            abi::VERSION >> 16
        );
        return Err(ENODEV);
    }
    let processors = registers.read(regs::PROCESSORS);
    if processors == 0 || processors as usize > abi::MAX_PROCESSORS {
        dev_err!(pdev, "an adapter with {} processors\n", processors);
        return Err(EINVAL);
    }
    let features = registers.read64(regs::FEATURES) & adapter::FEATURES;
    let admin = lifecycle::enable(pdev.as_ref(), &registers, features).inspect_err(|error| {
        dev_err!(
            pdev,
            "the adapter cannot be enabled: {}\n",
            error.to_errno()
        );
    })?;
    Ok(Function {
        registers,
        features,
        processors: processors as u8,
        admin,
    })
}

/// Features of the interface for those of the adapter: all, and those that can be switched.
fn features(offered: u64) -> (u64, u64) {
    let mut features = netif::SG | netif::HIGHDMA;
    // A frame that never left a machine has no checksum that the stack could verify instead.
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

impl<'bound, C: Client> Driver<'bound, C> {
    fn new(pdev: &'bound pci::Device<Bound>) -> Result<Self> {
        let function = enable(pdev)?;
        let mac = function.registers.read64(regs::MAC).to_le_bytes();
        let mac = [mac[0], mac[1], mac[2], mac[3], mac[4], mac[5]];
        let max_mtu = function.registers.read(regs::MAX_MTU);
        let offered = function.features;
        let processors = function.processors;

        let mut netdev = match Unregistered::<Adapter<C>>::new(pdev.as_ref(), processors.into()) {
            Ok(netdev) => netdev,
            Err(error) => {
                function
                    .registers
                    .write(regs::CONTROL, regs::control::RESET);
                return Err(error);
            }
        };
        let adapter = Adapter::new(pdev.as_ref(), function, netdev.allocation())?;
        let shutdown = Shutdown(adapter.clone());

        netdev.set_ethtool();
        netdev.set_queue_management();
        netdev.set_mac(mac);
        netdev.set_mtu(1500, 68, max_mtu.clamp(1500, 9000));
        let (features, switchable) = features(offered);
        netdev.set_features(features, switchable, features & !netif::HW_VLAN_CTAG_RX);
        netdev.set_watchdog(WATCHDOG);
        netdev.set_split_threshold(abi::SMALL_FRAME.into());
        let settings = Settings {
            up: false,
            mtu: 1500,
            mac: netdev.mac(),
            filter_flags: 0,
            multicast: KVec::new(),
            coalesce: Coalesce::default(),
            storage: match offered & feature::GRO {
                0 => abi::admin::storage::SPLIT,
                _ => abi::admin::storage::SPLIT | abi::admin::storage::GRO,
            },
            small_frame: abi::SMALL_FRAME,
            sizes: Sizes::initial(adapter.pages)?,
            rules: KVec::new(),
        };
        adapter.apply(pdev.as_ref(), &settings)?;

        let interrupts = Interrupts::request(pdev, &adapter)?;
        let registration = netdev.register(adapter.clone(), settings)?;
        dev_info!(
            pdev,
            "{} processors, {} connections each, features {:#x}\n",
            processors,
            adapter.connections,
            offered
        );
        Ok(Self {
            _tick: Periodic::new(adapter, TICK)?,
            _registration: registration,
            _interrupts: interrupts,
            _shutdown: shutdown,
        })
    }
}

impl<C: Client> pci::Driver for Driver<'static, C> {
    type IdInfo = ();
    type Data<'bound> = Driver<'bound, C>;
    const ID_TABLE: pci::IdTable<Self::IdInfo> = &TABLE;

    fn probe<'bound>(
        pdev: &'bound pci::Device<Core<'_>>,
        _info: Option<&'bound Self::IdInfo>,
    ) -> impl PinInit<Self::Data<'bound>, Error> + 'bound {
        pdev.enable_device_mem()?;
        pdev.set_master();
        // SAFETY: Nothing else allocates or maps DMA memory of the function while it is probed.
        unsafe { pdev.dma_set_mask_and_coherent(DmaMask::new::<52>())? };
        // The adapter knows pages only: pieces of an application's memory may be of any length.
        // SAFETY: As above.
        unsafe { pdev.dma_set_max_seg_size(u32::MAX) };
        Driver::new(pdev)
    }
}
