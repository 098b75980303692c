// SPDX-License-Identifier: GPL-2.0

//! Restart of one queue pair while the others run (`netdev_queue_mgmt_ops`).

use super::{
    adapter::Adapter,
    queue_start::QueueMemory, //
};
use crate::{
    abi::page::BATCH,
    net::{
        device::{
            Control,
            QueueManagement, //
        },
        page_pool::Source, //
    },
    offload::Client, //
};
use kernel::{
    prelude::*,
    sync::atomic::Relaxed, //
};

impl<C: Client> QueueManagement for Adapter<C> {
    type Memory = QueueMemory<C>;
    // A fill batch would use part of a larger block only.
    const MAX_ORDER: u32 = BATCH.ilog2();

    fn prepare_queue(cx: &mut Control<'_, Self>, index: u16) -> Result<QueueMemory<C>> {
        let adapter = cx.data().clone();
        let channel = adapter.channel(index.into())?;
        QueueMemory::new(cx, channel, cx.state.sizes, Source::Provider)
    }

    fn stop_queue(cx: &mut Control<'_, Self>, index: u16) -> Result<QueueMemory<C>> {
        let adapter = cx.data().clone();
        let channel = adapter.channel(index.into())?;
        if !adapter.running.load(Relaxed) || adapter.function.is_dead() {
            return Err(ENETDOWN);
        }
        // The queue cannot run on its present memory again. The memory for a rollback is allocated
        // before the queue stops, without the memory provider that is being bound.
        let fallback = QueueMemory::new(cx, channel, cx.state.sizes, Source::Kernel)?;
        cx.stop_tx_queue(index);
        Self::stop_channel(cx, channel, true);
        Ok(fallback)
    }

    fn start_queue(cx: &mut Control<'_, Self>, index: u16, memory: QueueMemory<C>) -> Result {
        let adapter = cx.data().clone();
        let channel = adapter.channel(index.into())?;
        if adapter.function.is_faulted() || adapter.function.is_dead() {
            // Recovery starts all queues, or the adapter is lost.
            return Ok(());
        }
        let coalesce = cx.state.coalesce;
        adapter
            .start_channel(cx, channel, memory)
            .and_then(|()| adapter.apply_coalesce_to(channel, coalesce))
            .inspect_err(|_| adapter.function.fault("starting a processor failed"))?;
        cx.wake_tx_queue(index);
        Ok(())
    }
}
