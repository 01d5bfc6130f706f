/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * rsm_intr_signal_post and rsm_intr_signal_wait: a counter in the segment's signal memory and a futex on it.
 * Post and wait take no lock and, while nobody sleeps, make no system call.
 *
 * Signal memory can be written by everybody who was admitted to the segment, so nothing in it is believed: no index
 * comes from it unchecked, and a sleeper looks at the read-only status table once a second whatever it says.
 */
#include <errno.h>
#include <linux/futex.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/cpu.h"
#include "base/probe.h"
#include "lib/count.h"
#include "segment/memfd.h"

#define SPIN_NS       20000u      /* about what a blocking wake-up costs between cores */
#define SPIN_SKIP_MAX 1023u       /* waits without a spin after spins that did not help */
#define SLICE_NS      1000000000u /* longest sleep before everything is looked at again */

struct lib_signal *lib_signal_find(const void *value)
{
	struct lib_import *import = lib_import_find(value);
	if (import != NULL)
		return &import->signal;
	struct lib_export *export = lib_export_find(value);
	return export == NULL ? NULL : &export->signal;
}

static long futex(_Atomic uint32_t *word, int operation, uint32_t value, const struct timespec *timeout)
{
	return syscall(SYS_futex, word, operation, value, timeout, NULL, 0);
}

/* ---- the memory ---- */

int lib_signal_map(struct lib_signal *signal, int fd)
{
	int code = segment_memfd_verify(fd, SEGMENT_SIGNAL_SIZE, true, true);
	if (code != RSM_SUCCESS)
		return code;
	void *memory = mmap(NULL, SEGMENT_SIGNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (memory == MAP_FAILED)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "cannot map the segment's signal memory");
	atomic_store_explicit(&signal->memory, memory, memory_order_release);
	return RSM_SUCCESS;
}

void lib_signal_unmap(struct lib_signal *signal)
{
	struct segment_signal *memory = atomic_exchange(&signal->memory, NULL);
	if (memory != NULL)
		munmap(memory, SEGMENT_SIGNAL_SIZE);
}

int lib_signal_replace(struct lib_signal *signal, int fd)
{
	struct segment_signal *memory = atomic_load(&signal->memory);
	if (memory == NULL)
		return RSM_SUCCESS; /* never looked at: the first need asks rsmd for the present one */
	int code = segment_memfd_verify(fd, SEGMENT_SIGNAL_SIZE, true, true);
	if (code != RSM_SUCCESS)
		return code;
	/* A second view of the old memory (length 0 duplicates a shared mapping): its events and sleepers are ours. */
	struct segment_signal *old = mremap(memory, 0, SEGMENT_SIGNAL_SIZE, MREMAP_MAYMOVE);
	if (old == MAP_FAILED)
		return base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "no room for fresh signal memory");
	if (mmap(memory, SEGMENT_SIGNAL_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0) ==
	    MAP_FAILED) {
		code = base_refuse_errno(RSMERR_INSUFFICIENT_RESOURCES, errno,
					 "cannot map fresh signal memory");
	} else {
		uint32_t pending = atomic_exchange(&old[signal->slot].events, 0) & SEGMENT_SIGNAL_COUNT;
		atomic_fetch_add(&memory[signal->slot].events, pending);
		futex(&old[signal->slot].events, FUTEX_WAKE, INT32_MAX, NULL);
	}
	munmap(old, SEGMENT_SIGNAL_SIZE);
	return code;
}

/* Asks rsmd for the segment's signal memory and maps it, in the place of stale memory if there is some. */
static int memory_fetch(struct lib_signal *signal)
{
	int code = lib_daemon_check(signal->session);
	if (code != RSM_SUCCESS)
		return code;
	Wire__Signals signals = WIRE__SIGNALS__INIT;
	signals.export_id = signal->id;
	struct lib_reply reply = {0};
	code = lib_daemon_call(WIRE__REQUEST__BODY_SIGNALS, &signals, -1, &reply);
	if (code != RSM_SUCCESS)
		return code;
	if (reply.packet.fd_count == 0)
		code = base_refuse(
			RSMERR_INSUFFICIENT_RESOURCES,
			"no descriptor came for the segment's signal memory; is RLIMIT_NOFILE reached?");
	else if (atomic_load(&signal->memory) == NULL)
		code = lib_signal_map(signal, reply.packet.fds[0]);
	else
		code = lib_signal_replace(signal, reply.packet.fds[0]);
	lib_reply_clear(&reply);
	if (code == RSM_SUCCESS)
		atomic_store(&signal->is_stale, false);
	return code;
}

static bool is_ready(const struct lib_signal *signal)
{
	return atomic_load_explicit(&signal->memory, memory_order_acquire) != NULL &&
	       !atomic_load_explicit(&signal->is_stale, memory_order_relaxed);
}

int lib_signal_ready(struct lib_signal *signal)
{
	if (is_ready(signal))
		return RSM_SUCCESS;
	lib_lock();
	int code = is_ready(signal) ? RSM_SUCCESS : memory_fetch(signal);
	lib_unlock();
	return code;
}

bool lib_signal_is_aborted(const struct lib_signal *signal)
{
	if (signal->status == NULL)
		return false;
	uint64_t epoch = atomic_load_explicit(&signal->status->epoch, memory_order_acquire);
	return SEGMENT_EPOCH_GENERATION(epoch) != signal->generation;
}

/* ---- post ---- */

/* Makes a poll descriptor readable, which only rsmd can, and has an exporter's events sent to other nodes. */
static void ring(const struct lib_signal *signal, bool self, uint_t flags)
{
	lib_lock();
	if (signal->session == lib_daemon.session) {
		Wire__Ring message = WIRE__RING__INIT;
		message.handle_id = signal->id;
		message.self = self;
		message.flags = flags;
		lib_daemon_call(WIRE__REQUEST__BODY_RING, &message, -1, NULL);
	}
	lib_unlock();
}

static int post_to_exporter(struct lib_import *import, uint_t flags)
{
	if (transport_is_aborted(&import->transport))
		return base_refuse(RSMERR_CONN_ABORTED, "the exporter has withdrawn segment 0x%x",
				   import->segment_id);
	if (import->transport.ops->post != NULL)
		return import->transport.ops->post(&import->transport, flags);
	if (segment_signal_post(&atomic_load(&import->signal.memory)[0], 1,
				(flags & RSM_SIGPOST_NO_ACCUMULATE) != 0))
		ring(&import->signal, false, flags);
	return RSM_SUCCESS;
}

static int post_to_importers(struct lib_export *export, uint_t flags)
{
	if (!atomic_load_explicit(&export->published, memory_order_relaxed))
		return RSM_SUCCESS; /* nobody receives */
	int code = lib_signal_ready(&export->signal);
	if (code != RSM_SUCCESS)
		return code;
	struct segment_signal *memory = atomic_load_explicit(&export->signal.memory, memory_order_acquire);
	uint32_t high = atomic_load_explicit(&memory[0].high, memory_order_acquire);
	if (high >= SEGMENT_SIGNAL_SLOTS)
		high = SEGMENT_SIGNAL_SLOTS - 1;
	bool tell = false;
	for (uint32_t slot = 1; slot <= high; slot++) {
		if (atomic_load_explicit(&memory[slot].connected, memory_order_acquire) == 0)
			continue;
		if (atomic_load_explicit(&memory[slot].doorbell, memory_order_acquire) ==
		    SEGMENT_SIGNAL_FORWARD)
			tell = true;
		else
			tell |= segment_signal_post(&memory[slot], 1,
						    (flags & RSM_SIGPOST_NO_ACCUMULATE) != 0);
	}
	if (tell)
		ring(&export->signal, false, flags);
	return RSM_SUCCESS;
}

int rsm_intr_signal_post(void *memseg, uint_t flags)
{
	BASE_PROBE2(signal_post, memseg, flags);
	struct lib_import *import = lib_import_find(memseg);
	if (import != NULL) {
		int code = post_to_exporter(import, flags);
		if (code == RSM_SUCCESS)
			lib_count_signal(import);
		return code;
	}
	struct lib_export *export = lib_export_find(memseg);
	if (export != NULL)
		return post_to_importers(export, flags);
	return lib_refuse_handle("segment", memseg, RSMERR_BAD_SEG_HNDL);
}

/* ---- wait ---- */

/* Takes one event from the counter; *left says how many remain. */
static bool take(struct segment_signal *slot, uint32_t *left)
{
	uint32_t events = atomic_load_explicit(&slot->events, memory_order_acquire);
	do {
		if ((events & SEGMENT_SIGNAL_COUNT) == 0)
			return false;
	} while (!atomic_compare_exchange_weak(&slot->events, &events, events - 1));
	*left = (events - 1) & SEGMENT_SIGNAL_COUNT;
	return true;
}

bool lib_signal_consume(struct lib_signal *signal)
{
	struct segment_signal *slot =
		&atomic_load_explicit(&signal->memory, memory_order_acquire)[signal->slot];
	uint32_t left = 1;
	bool taken = take(slot, &left);
	if (atomic_load_explicit(&signal->doorbell, memory_order_relaxed) < 0 || (taken && left > 0))
		return taken;
	/* The descriptor must not stay readable; who posts meanwhile rings again or is rung for here. */
	lib_lock();
	lib_pollfd_drain(signal);
	bool again = (atomic_load(&slot->events) & SEGMENT_SIGNAL_COUNT) > 0;
	lib_unlock();
	if (again)
		ring(signal, true, 0);
	return taken;
}

/*
 * A short spin before sleeping saves the wake-up where the event is near. Where it did not help (one core, or events are
 * rare) it is left out for longer and longer, up to SPIN_SKIP_MAX waits.
 */
static bool spin(struct lib_signal *signal, const struct segment_signal *slot, uint64_t until)
{
	uint32_t skip = atomic_load_explicit(&signal->spin_skip, memory_order_relaxed);
	if (skip > 0) {
		atomic_store_explicit(&signal->spin_skip, (uint16_t)(skip - 1), memory_order_relaxed);
		return false;
	}
	while (base_clock_ns() < until)
		for (int i = 0; i < 32; i++) {
			if (atomic_load_explicit(&slot->events, memory_order_relaxed) != 0) {
				atomic_store_explicit(&signal->spin_backoff, 0, memory_order_relaxed);
				return true;
			}
			base_cpu_relax();
		}
	uint32_t backoff = atomic_load_explicit(&signal->spin_backoff, memory_order_relaxed) * 2 + 1;
	backoff = backoff > SPIN_SKIP_MAX ? SPIN_SKIP_MAX : backoff;
	atomic_store_explicit(&signal->spin_backoff, (uint16_t)backoff, memory_order_relaxed);
	atomic_store_explicit(&signal->spin_skip, (uint16_t)backoff, memory_order_relaxed);
	return false;
}

/* Sleeps until the events word may have changed, for `ns` at the most. EINTR if a signal handler ran. */
static int sleep_on(struct lib_signal *signal, struct segment_signal *slot, uint64_t ns)
{
	if (ns > SLICE_NS)
		ns = SLICE_NS;
	/* With a time limit the kernel never restarts the call, so a handler ends it also with SA_RESTART. */
	const struct timespec limit = {.tv_sec = (time_t)(ns / 1000000000u),
				       .tv_nsec = (long)(ns % 1000000000u)};
	atomic_store(&slot->waiters, 1);
	/* An abort raises the generation first and then changes the word: seen here, or the futex does not sleep. */
	uint32_t events = atomic_load(&slot->events);
	if ((events & SEGMENT_SIGNAL_COUNT) != 0 || lib_signal_is_aborted(signal))
		return 0;
	return futex(&slot->events, FUTEX_WAIT, events, &limit) == 0 ? 0 : errno;
}

int lib_signal_sleep(struct lib_signal *signal)
{
	return sleep_on(signal, &atomic_load(&signal->memory)[signal->slot], SLICE_NS);
}

/* Between nodes only time tells, as it does to data calls. */
static bool is_given_up(struct lib_signal *signal)
{
	uint64_t now = base_clock_ns(), since = atomic_load(&signal->orphaned_ns);
	if (since == 0)
		atomic_store(&signal->orphaned_ns, now);
	return since != 0 && now - since >= (uint64_t)signal->dead_after_ms * 1000000u;
}

/* Without rsmd nobody tells of the exporter's death: once a second a sleeping importer looks for itself. */
static bool is_orphaned(struct lib_signal *signal)
{
	if (signal->status == NULL || (signal->exporter <= 0 && signal->dead_after_ms == 0))
		return false;
	lib_lock();
	bool told = lib_daemon_is_there(signal->session);
	lib_unlock();
	if (signal->dead_after_ms == 0)
		return !told && kill(signal->exporter, 0) != 0 && errno == ESRCH;
	if (!told)
		return is_given_up(signal);
	atomic_store(&signal->orphaned_ns, 0);
	return false;
}

static int refuse_aborted(void)
{
	return base_refuse(RSMERR_CONN_ABORTED,
			   "no events are pending and the exporter has withdrawn the segment");
}

static int refuse_orphaned(const struct lib_signal *signal)
{
	if (signal->dead_after_ms != 0)
		return base_refuse(RSMERR_CONN_ABORTED,
				   "rsmd is gone, and with it the path to the exporter's node");
	return base_refuse(RSMERR_CONN_ABORTED, "the exporter, process %d, has gone, and so has rsmd",
			   (int)signal->exporter);
}

static int wait_for_event(struct lib_signal *signal, int timeout)
{
	uint64_t now = base_clock_ns();
	const uint64_t end = timeout < 0 ? UINT64_MAX : now + (uint64_t)timeout * 1000000u;
	struct segment_signal *slot = &atomic_load(&signal->memory)[signal->slot];
	if (spin(signal, slot, end - now < SPIN_NS ? end : now + SPIN_NS) && lib_signal_consume(signal))
		return RSM_SUCCESS;
	for (;; now = base_clock_ns()) {
		if (lib_signal_is_aborted(signal)) /* what was pending before the abort still counts */
			return lib_signal_consume(signal) ? RSM_SUCCESS : refuse_aborted();
		if (now >= end)
			return base_refuse(RSMERR_TIMEOUT, "no event within %d ms", timeout);
		int error = sleep_on(signal, slot, end - now);
		if (lib_signal_consume(signal))
			return RSM_SUCCESS;
		if (error == EINTR)
			return base_refuse(RSMERR_INTERRUPTED, "a signal handler ran during the wait");
		if (error == ETIMEDOUT && is_orphaned(signal))
			return refuse_orphaned(signal);
	}
}

static int signal_wait(void *memseg, int timeout)
{
	struct lib_signal *signal = lib_signal_find(memseg);
	if (signal == NULL)
		return lib_refuse_handle("segment", memseg, RSMERR_BAD_SEG_HNDL);
	int code = lib_signal_ready(signal);
	if (code != RSM_SUCCESS)
		return code;
	if (lib_signal_consume(signal))
		return RSM_SUCCESS;
	if (timeout == 0)
		return lib_signal_is_aborted(signal)
			       ? base_refuse(RSMERR_CONN_ABORTED, "the exporter has withdrawn the segment")
			       : base_refuse_plain(RSMERR_TIMEOUT, "no event is pending");
	return wait_for_event(signal, timeout);
}

int rsm_intr_signal_wait(void *memseg, int timeout)
{
	BASE_PROBE2(signal_wait_start, memseg, timeout);
	int code = signal_wait(memseg, timeout);
	BASE_PROBE2(signal_wait_done, memseg, code);
	return code;
}
