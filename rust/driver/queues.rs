// SPDX-License-Identifier: GPL-2.0

//! One queue, and with it its processor, is restarted while the others run.

use super::{
    adapter::{
        Adapter,
        Queue, //
    },
    launch::Prepared, //
};
use crate::{
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

impl<C: Client> Adapter<C> {
    fn processor_of(&self, index: u16) -> Result<&Queue<C>> {
        self.processors.get(usize::from(index)).ok_or(EINVAL)
    }
}

impl<C: Client> QueueManagement for Adapter<C> {
    type Memory = Prepared<C>;

    fn prepare_queue(cx: &mut Control<'_, Self>, index: u16) -> Result<Prepared<C>> {
        let adapter = cx.data().clone();
        let processor = adapter.processor_of(index)?;
        Prepared::new(cx, processor, cx.state.sizes, Source::Provider)
    }

    fn stop_queue(cx: &mut Control<'_, Self>, index: u16) -> Result<Prepared<C>> {
        let adapter = cx.data().clone();
        let processor = adapter.processor_of(index)?;
        if !adapter.running.load(Relaxed) || adapter.dead.load(Relaxed) {
            return Err(ENETDOWN);
        }
        // Before it stops: what it runs on now cannot be used anew as it is. A provider is bound by
        // now, but has not been when the queue was as it is to be again.
        let again = Prepared::new(cx, processor, cx.state.sizes, Source::Kernel)?;
        cx.stop_tx_queue(index);
        if !Self::stop_one(cx, processor, true) {
            // It was reset, and all its processors with it.
            adapter.fault("a processor does not stop");
        }
        Ok(again)
    }

    fn start_queue(cx: &mut Control<'_, Self>, index: u16, memory: Prepared<C>) -> Result {
        let adapter = cx.data().clone();
        let processor = adapter.processor_of(index)?;
        if adapter.resetting.load(Relaxed) || adapter.dead.load(Relaxed) {
            // The reset starts it with all others, or nothing will any more.
            return Ok(());
        }
        let coalesce = cx.state.coalesce;
        let result = adapter
            .launch(cx, processor, memory)
            .and_then(|()| adapter.moderate(processor, coalesce));
        if result.is_err() {
            adapter.fault("a processor does not start");
        }
        result?;
        cx.wake_tx_queue(index);
        Ok(())
    }
}
