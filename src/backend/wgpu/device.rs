//! The device, and what is on its way to it: commands are written down, and handed over a step at a time.

use super::WgpuOptions;
use super::adapter;
use super::clock::Clock;
use super::memory::Raw;
use super::pipelines::{Pipelines, Prepared};
use crate::backend::DeviceSpan;
use crate::error::{Error, Result};
use dlrm_kernels::wgsl::{LINEAR_GROUP, PARAMS_BYTES, Shader};
use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use wgpu::{BindGroup, BindGroupEntry, BufferBinding, BufferDescriptor, BufferUsages, Features, PollType};

/// Dispatches of one submission: those beyond come in another one.
const MAX_DISPATCHES: usize = super::clock::MOST_PASSES;

/// Bytes that are moved up or down in one piece: what the driver sets aside for it.
const CHUNK: u64 = 32 << 20;

/// What was handed to the device so far.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Lists of commands.
    pub submissions: u64,
    /// Shaders started.
    pub dispatches: u64,
    /// Bytes to the device, parameters of dispatches included.
    pub bytes_up: u64,
    /// Bytes from the device.
    pub bytes_down: u64,
    /// Bind groups made; a steady step makes none.
    pub bind_groups: u64,
    /// Buffers made; a steady step makes none.
    pub buffers: u64,
    /// Operations that the processor computed for want of a shader.
    pub fallbacks: u64,
    /// Bytes of all these buffers.
    pub buffer_bytes: u64,
}

/// See the [module](self).
pub(super) struct Device {
    pub device: wgpu::Device,
    pub queue: wgpu::Queue,
    pub name: String,
    /// Whether its memory is the processor's too.
    pub is_shared: bool,
    /// The most bytes of a buffer that a shader sees, and so of a buffer.
    pub max_binding: u64,
    /// Whether what may be stored in f16 is.
    pub f16_storage: bool,
    pipelines: Pipelines,
    /// The parameters of every dispatch of a submission.
    arena: wgpu::Buffer,
    state: Mutex<State>,
    /// The first thing that went wrong; everything after it is worthless.
    failure: Arc<Mutex<Option<String>>>,
    ids: AtomicU64,
}

#[derive(Default)]
struct State {
    commands: Vec<Command>,
    params: Vec<u8>,
    bind_groups: HashMap<(Key, Vec<u64>), BindGroup>,
    /// The number of the submission that `commands` will be, from 1.
    epoch: u64,
    counts: Counts,
    /// Where numbers come down.
    staging: Option<wgpu::Buffer>,
    /// What takes the time of calls, if someone wants to know.
    clock: Option<Clock>,
    /// The call that dispatches belong to.
    call: Option<u64>,
}

/// A shader by its address: they are all constants.
type Key = (&'static str, &'static str);

enum Command {
    Dispatch { prepared: Arc<Prepared>, bind_group: BindGroup, offset: u32, groups: [u32; 3], call: Option<u64> },
    Copy { from: wgpu::Buffer, from_at: u64, to: wgpu::Buffer, to_at: u64, bytes: u64 },
}

impl std::fmt::Debug for Device {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Device({})", self.name)
    }
}

impl Device {
    pub fn open(options: &WgpuOptions) -> Result<Arc<Self>> {
        let adapter = adapter::find(&options.adapter)?;
        let (device, queue) = adapter::open(&adapter, options)?;
        let failure = Arc::new(Mutex::new(None));
        let fail = |failure: &Arc<Mutex<Option<String>>>| {
            let failure = failure.clone();
            move |message: String| {
                lock(&failure).get_or_insert(message);
            }
        };
        let (lost, other) = (fail(&failure), fail(&failure));
        device.set_device_lost_callback(move |_, message| lost(format!("the device is lost: {message}")));
        device.on_uncaptured_error(Arc::new(move |error: wgpu::Error| other(describe(&error))));
        let limits = device.limits();
        let offered = limits.max_storage_buffer_binding_size.min(limits.max_buffer_size);
        let arena = device.create_buffer(&BufferDescriptor {
            label: Some("params"),
            size: (MAX_DISPATCHES * PARAMS_BYTES) as u64,
            usage: BufferUsages::UNIFORM | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        Ok(Arc::new(Device {
            name: adapter::line(&adapter.get_info()),
            is_shared: adapter.get_info().device_type != wgpu::DeviceType::DiscreteGpu,
            max_binding: options.max_binding.map_or(offered, |most| most.min(offered)) / 256 * 256,
            f16_storage: options.f16_storage,
            pipelines: Pipelines::default(),
            arena,
            state: Mutex::new(State { epoch: 1, ..State::default() }),
            failure,
            ids: AtomicU64::new(0),
            device,
            queue,
        }))
    }

    /// The first failure, if there was one.
    pub fn status(&self) -> Result<()> {
        // Errors of what was handed over come with the next look at the device.
        let _ = self.device.poll(PollType::Poll);
        match &*lock(&self.failure) {
            None => Ok(()),
            Some(message) => Err(Error::Device(format!("{}: {message}", self.name))),
        }
    }

    /// Whether shaders may use subgroups.
    pub fn has_subgroups(&self) -> bool {
        self.device.features().contains(Features::SUBGROUP)
    }

    pub fn fail(&self, message: String) {
        lock(&self.failure).get_or_insert(message);
    }

    pub fn counts(&self) -> Counts {
        self.state().counts
    }

    pub fn count_fallback(&self) {
        self.state().counts.fallbacks += 1;
    }

    fn state(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A buffer of `bytes`, which are a multiple of 4. If there is no room, or it is larger than a shader can see, the
    /// device has failed; `what` is in the message.
    pub fn create(&self, what: &str, bytes: u64) -> Arc<Raw> {
        if bytes > self.max_binding {
            self.fail(format!("{what} of {bytes} bytes, and a shader sees at most {} of a buffer", self.max_binding));
        }
        let scope = self.device.push_error_scope(wgpu::ErrorFilter::OutOfMemory);
        let buffer = self.device.create_buffer(&BufferDescriptor {
            label: Some(what),
            size: bytes.clamp(4, self.max_binding.max(4)),
            usage: BufferUsages::STORAGE | BufferUsages::COPY_SRC | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        if pollster::block_on(scope.pop()).is_some() {
            self.fail(format!("no memory on the device for {what} of {bytes} bytes"));
        }
        let counts = &mut self.state().counts;
        counts.buffers += 1;
        counts.buffer_bytes += bytes;
        Arc::new(Raw { buffer, id: self.ids.fetch_add(1, Ordering::Relaxed), used: AtomicU64::new(0) })
    }

    /// Starts `shader` on `buffers`, with `params` and so many workgroups. What is written by one dispatch is there for
    /// the next.
    pub fn dispatch(&self, shader: &'static Shader, buffers: &[&Arc<Raw>], params: &[u32], groups: [u32; 3]) {
        debug_assert_eq!(buffers.len(), shader.buffers.len(), "{}: buffers", shader.name);
        debug_assert!(size_of_val(params) <= PARAMS_BYTES, "{}: params", shader.name);
        if groups.contains(&0) {
            return;
        }
        let prepared = self.pipelines.get(&self.device, shader);
        let mut state = self.state();
        if state.params.len() == MAX_DISPATCHES * PARAMS_BYTES {
            self.submit_state(&mut state);
        }
        let key = ((shader.name, shader.entry), buffers.iter().map(|raw| raw.id).collect::<Vec<_>>());
        let bind_group = match state.bind_groups.get(&key) {
            Some(group) => group.clone(),
            None => {
                let group = self.bind(&prepared, buffers);
                state.counts.bind_groups += 1;
                state.bind_groups.insert(key, group.clone());
                group
            }
        };
        buffers.iter().for_each(|raw| raw.used.store(state.epoch, Ordering::Relaxed));
        let offset = state.params.len();
        state.params.extend_from_slice(bytemuck::cast_slice(params));
        state.params.resize(offset + PARAMS_BYTES, 0);
        state.counts.dispatches += 1;
        let call = state.call;
        state.commands.push(Command::Dispatch { prepared, bind_group, offset: offset as u32, groups, call });
    }

    /// The same for a shader that works on `len` numbers one by one.
    pub fn dispatch_linear(&self, shader: &'static Shader, buffers: &[&Arc<Raw>], params: &[u32], len: usize) {
        self.dispatch(shader, buffers, params, grid(len.div_ceil(LINEAR_GROUP)));
    }

    fn bind(&self, prepared: &Prepared, buffers: &[&Arc<Raw>]) -> BindGroup {
        let params = BufferBinding { buffer: &self.arena, offset: 0, size: (PARAMS_BYTES as u64).try_into().ok() };
        let mut entries = vec![BindGroupEntry { binding: 0, resource: wgpu::BindingResource::Buffer(params) }];
        for (binding, raw) in (1..).zip(buffers) {
            entries.push(BindGroupEntry { binding, resource: raw.buffer.as_entire_binding() });
        }
        self.device.create_bind_group(&wgpu::BindGroupDescriptor {
            label: None,
            layout: &prepared.layout,
            entries: &entries,
        })
    }

    /// Copies between buffers, after what was called before.
    pub fn copy(&self, (from, from_at): (&Arc<Raw>, u64), (to, to_at): (&Arc<Raw>, u64), bytes: u64) {
        if bytes == 0 {
            return;
        }
        let mut state = self.state();
        [from, to].iter().for_each(|raw| raw.used.store(state.epoch, Ordering::Relaxed));
        let (from, to) = (from.buffer.clone(), to.buffer.clone());
        state.commands.push(Command::Copy { from, from_at, to, to_at, bytes });
    }

    /// Puts `bytes` into a buffer, before whatever is called from here on.
    pub fn write(&self, raw: &Arc<Raw>, at: u64, bytes: &[u8]) {
        let mut state = self.state();
        if raw.used.load(Ordering::Relaxed) == state.epoch {
            // What is written goes before all commands of a submission, and these must see what was there.
            self.submit_state(&mut state);
        }
        state.counts.bytes_up += bytes.len() as u64;
        let large = bytes.len() as u64 > CHUNK;
        for (i, chunk) in bytes.chunks(CHUNK as usize).enumerate() {
            self.queue.write_buffer(&raw.buffer, at + i as u64 * CHUNK, chunk);
            if large {
                // So that the driver can let go of what it set aside for the chunk.
                self.submit_state(&mut state);
                let _ = self.device.poll(wait());
            }
        }
    }

    /// Whether a buffer is used by something that was called, but is not on its way yet.
    pub fn is_in_use(&self, raw: &Raw) -> bool {
        raw.used.load(Ordering::Relaxed) == self.state().epoch
    }

    /// Everything called so far goes to the device.
    pub fn submit(&self) {
        let mut state = self.state();
        if !state.commands.is_empty() {
            self.submit_state(&mut state);
        }
    }

    /// The same, and waits until it is done.
    pub fn wait(&self) {
        self.submit();
        if self.device.poll(wait()).is_err() {
            self.fail("the device no longer answers".into());
        }
    }

    fn submit_state(&self, state: &mut State) {
        let State { commands, params, counts, epoch, clock, .. } = state;
        if !params.is_empty() {
            self.queue.write_buffer(&self.arena, 0, params);
            counts.bytes_up += params.len() as u64;
        }
        let mut encoder = self.device.create_command_encoder(&Default::default());
        encode(&mut encoder, commands, clock.as_mut());
        self.queue.submit([encoder.finish()]);
        if clock.as_mut().is_some_and(|clock| clock.collect(&self.device).is_none()) {
            self.fail("the device no longer answers".into());
        }
        counts.submissions += 1;
        *epoch += 1;
        commands.clear();
        params.clear();
    }

    /// From here on marked calls are timed.
    ///
    /// # Errors
    /// [`Error::Device`] if the device cannot do that.
    pub fn begin_timing(&self) -> Result<()> {
        let mut state = self.state();
        if state.clock.is_none() {
            let clock = Clock::new(&self.device, &self.queue);
            let none = || Error::Device(format!("{}: no timestamps, so no times of its operations", self.name));
            state.clock = Some(clock.ok_or_else(none)?);
        }
        Ok(())
    }

    /// Dispatches from here on belong to that call.
    pub fn mark(&self, call: Option<u64>) {
        let mut state = self.state();
        state.call = call.filter(|_| state.clock.is_some());
    }

    /// The times of marked calls since the last time, all of them.
    pub fn take_spans(&self) -> Vec<DeviceSpan> {
        self.submit();
        self.state().clock.as_mut().map_or(Vec::new(), Clock::take)
    }

    /// Copies numbers out of a buffer, after everything called so far is done.
    pub fn read(&self, raw: &Arc<Raw>, at: u64, to: &mut [f32]) {
        for (i, part) in to.chunks_mut((CHUNK / 4) as usize).enumerate() {
            if self.read_chunk(raw, at + i as u64 * CHUNK, part).is_none() {
                self.fail("the device no longer answers".into());
                part.fill(0.0);
            }
        }
    }

    fn read_chunk(&self, raw: &Arc<Raw>, at: u64, to: &mut [f32]) -> Option<()> {
        let bytes = size_of_val(to) as u64;
        let mut state = self.state();
        let staging = self.staging(&mut state, bytes);
        let from = raw.buffer.clone();
        state.commands.push(Command::Copy { from, from_at: at, to: staging.clone(), to_at: 0, bytes });
        self.submit_state(&mut state);
        let slice = staging.slice(..bytes);
        let (sender, receiver) = std::sync::mpsc::channel();
        slice.map_async(wgpu::MapMode::Read, move |result| {
            let _ = sender.send(result.is_ok());
        });
        self.device.poll(wait()).ok()?;
        let mapped = receiver.recv().unwrap_or(false);
        if mapped {
            to.copy_from_slice(bytemuck::cast_slice(&slice.get_mapped_range().ok()?));
        }
        staging.unmap();
        state.counts.bytes_down += bytes;
        mapped.then_some(())
    }

    fn staging(&self, state: &mut State, bytes: u64) -> wgpu::Buffer {
        if let Some(staging) = state.staging.as_ref().filter(|staging| staging.size() >= bytes) {
            return staging.clone();
        }
        let staging = self.device.create_buffer(&BufferDescriptor {
            label: Some("staging"),
            size: bytes.next_power_of_two().max(1 << 12),
            usage: BufferUsages::MAP_READ | BufferUsages::COPY_DST,
            mapped_at_creation: false,
        });
        state.counts.buffers += 1;
        state.counts.buffer_bytes += staging.size();
        state.staging = Some(staging.clone());
        staging
    }

    /// Forgets the bind groups of a buffer that goes.
    pub fn forget(&self, id: u64) {
        self.state().bind_groups.retain(|(_, ids), _| !ids.contains(&id));
    }
}

fn wait() -> PollType {
    PollType::Wait { submission_index: None, timeout: None }
}

/// Workgroups in a grid of at most 65,535 along each side.
pub(super) fn grid(groups: usize) -> [u32; 3] {
    const SIDE: usize = 65_535;
    let rows = groups.div_ceil(SIDE).max(1);
    [groups.div_ceil(rows) as u32, rows as u32, 1]
}

fn encode(encoder: &mut wgpu::CommandEncoder, commands: &[Command], mut clock: Option<&mut Clock>) {
    let mut pass: Option<wgpu::ComputePass<'static>> = None;
    let mut of = None;
    for command in commands {
        match command {
            Command::Dispatch { prepared, bind_group, offset, groups: [x, y, z], call } => {
                if of != *call {
                    (pass, of) = (None, *call);
                }
                let pass = pass.get_or_insert_with(|| {
                    let timestamp_writes = clock.as_mut().zip(*call).map(|(clock, call)| clock.pass(call));
                    let descriptor = wgpu::ComputePassDescriptor { label: None, timestamp_writes };
                    encoder.begin_compute_pass(&descriptor).forget_lifetime()
                });
                pass.set_pipeline(&prepared.pipeline);
                pass.set_bind_group(0, bind_group, &[*offset]);
                pass.dispatch_workgroups(*x, *y, *z);
            }
            Command::Copy { from, from_at, to, to_at, bytes } => {
                pass = None;
                encoder.copy_buffer_to_buffer(from, *from_at, to, *to_at, *bytes);
            }
        }
    }
    drop(pass);
    if let Some(clock) = clock {
        clock.resolve(encoder);
    }
}

fn describe(error: &wgpu::Error) -> String {
    match error {
        wgpu::Error::OutOfMemory { .. } => "no memory left on the device".into(),
        error => error.to_string().split_whitespace().collect::<Vec<_>>().join(" "),
    }
}

/// Whoever panicked with the lock in hand left nothing half-written.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
