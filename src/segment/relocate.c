/* SPDX-License-Identifier: BSD-2-Clause */
/* The loop of relocate.h. Each step is there for a store that was lost, or a thread that hung, without it. */
#include "segment/relocate.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "base/fd.h"
#include "segment/guard.h"
#include "segment/memfd.h"
#include "segment/populated.h"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23 /* Linux 5.14 */
#endif

/*
 * The calls made while a piece is in transit go to the kernel directly: whatever is put before the C library's functions
 * (sanitizers, profilers) may take a lock, and the thread that has it may be asleep on the piece. 64-bit systems only.
 */
_Static_assert(sizeof(long) == sizeof(off_t), "offsets are one argument of a system call");

static void *relocate_map(void *at, size_t length, int protection, int flags, int fd, off_t offset)
{
	return (void *)syscall(SYS_mmap, at, length, protection, flags, fd, offset);
}

static void relocate_unmap(void *at, size_t length)
{
	(void)syscall(SYS_munmap, at, length);
}

static int relocate_set_protection(void *at, size_t length, int protection)
{
	return (int)syscall(SYS_mprotect, at, length, protection);
}

/* A gap between populated pages is skipped by a mapping of its own from here on; below, it goes with its chunk. */
#define RELOCATE_HOLE ((size_t)1 << 20)

/* One piece in transit. The runs fit: a chunk has at most 1024 pages, of which every second one begins a run. */
struct relocate_piece {
	uintptr_t start, end;
	bool hole;
	bool guarded;
	size_t count;
	struct segment_run runs[SEGMENT_RUNS_MAX];
};

_Static_assert(SEGMENT_CHUNK / 4096 <= 2 * SEGMENT_RUNS_MAX, "the runs of one chunk fit");

static size_t relocate_page(const struct segment_relocation *r)
{
	return r->from.page_size > r->to.page_size ? r->from.page_size : r->to.page_size;
}

static bool relocate_is_huge(const struct segment_home *home)
{
	return home->page_size > (size_t)sysconf(_SC_PAGESIZE);
}

static off_t relocate_offset(const struct segment_relocation *r, const struct segment_home *home,
			     uintptr_t at)
{
	return (off_t)(home->offset + (at - r->start));
}

/*
 * The next run of file data of [at, end); false when there is none. A file that cannot tell is all data. The end of the
 * run is remembered: SEEK_HOLE walks all of it, which once per chunk would be quadratic. What is punched out of it
 * meanwhile is copied as zeros.
 */
static bool relocate_file_data(struct segment_relocation *r, uintptr_t at, uintptr_t end,
			       struct segment_run *run)
{
	if (at < r->data.start || at >= r->data.end) {
		off_t base = relocate_offset(r, &r->from, r->start);
		off_t data = lseek(r->from.fd, relocate_offset(r, &r->from, at), SEEK_DATA);
		if (data < 0 && errno == ENXIO)
			return false;
		off_t hole = data < 0 ? -1 : lseek(r->from.fd, data, SEEK_HOLE);
		r->data.start = data < 0 ? at : r->start + (uintptr_t)(data - base);
		r->data.end = hole < 0 ? r->end : r->start + (uintptr_t)(hole - base);
	}
	run->start = r->data.start > at ? r->data.start : at;
	run->end = r->data.end < end ? r->data.end : end;
	return run->start < run->end;
}

/* Where the next page with contents is; `end` when there is none. */
static uintptr_t relocate_first(struct segment_relocation *r, int pagemap, uintptr_t at)
{
	struct segment_run run;
	uintptr_t first = at;
	if (r->dense)
		return at;
	if (r->from.fd >= 0)
		first = relocate_file_data(r, at, r->end, &run) ? (uintptr_t)run.start : r->end;
	else if (segment_pagemap_first(pagemap, at, r->end, &first) != 0)
		return at;
	first -= (first - r->start) % relocate_page(r);
	return first > at ? first : at;
}

/* Fills in the runs of the piece. Returns 0 or an errno. */
static int relocate_find(struct segment_relocation *r, int pagemap, struct relocate_piece *piece)
{
	uintptr_t at = piece->start;
	piece->count = 0;
	if (r->dense) {
		piece->runs[piece->count++] = (struct segment_run){.start = piece->start, .end = piece->end};
		return 0;
	}
	if (r->from.fd < 0) {
		ssize_t count = segment_pagemap_runs(pagemap, at, piece->end, piece->runs, &at);
		piece->count = count < 0 ? 0 : (size_t)count;
		return count < 0 ? (int)-count : 0;
	}
	while (piece->count < SEGMENT_RUNS_MAX && at < piece->end &&
	       relocate_file_data(r, at, piece->end, &piece->runs[piece->count]))
		at = piece->runs[piece->count++].end;
	return 0;
}

static int relocate_trap(const struct segment_relocation *r, struct relocate_piece *piece, unsigned traps)
{
	int error = segment_guard_trap(r->guard, piece->start, piece->end - piece->start, traps);
	piece->guarded = error == 0;
	/* Private file mappings cannot be guarded: their writers must be quiet (adopt.h). */
	return error == EINVAL ? 0 : error;
}

/*
 * Private memory: absent pages are trapped first, so that what the page map says stays true, and only then are stores
 * trapped, since protection leaves marks that look like swapped pages. Once stores to absent pages are
 * trapped as well the first trap is taken off: our own copying would sleep on a page that the kernel takes away
 * meanwhile (MADV_FREE). Memfd: absent pages are protected like others, and the file says afterwards what is there.
 */
static int relocate_protect(struct segment_relocation *r, int pagemap, struct relocate_piece *piece)
{
	size_t length = piece->end - piece->start;
	bool by_pagemap = r->from.fd < 0 && !r->dense;
	unsigned traps = (piece->hole || by_pagemap ? SEGMENT_TRAP_ABSENT : 0) |
			 (piece->hole ? 0 : SEGMENT_TRAP_WRITE);
	int error = relocate_trap(r, piece, traps);
	if (error == 0 && (piece->hole || by_pagemap))
		error = relocate_find(r, pagemap, piece);
	if (error != 0 || piece->hole)
		return error == 0 && piece->count > 0 ? EAGAIN : error;
	if (piece->guarded)
		error = segment_guard_protect(r->guard, piece->start, length);
	if (error == 0 && by_pagemap && piece->guarded && segment_guard_covers_absent(r->guard))
		error = segment_guard_trap(r->guard, piece->start, length, SEGMENT_TRAP_WRITE);
	if (error == 0 && !by_pagemap)
		error = relocate_find(r, pagemap, piece);
	return error;
}

/* Through a second mapping of the new home: huge pages know no pwrite, and RLIMIT_FSIZE does not bind it. */
static int relocate_copy_mapped(const struct segment_relocation *r, const struct segment_run *run)
{
	/* pwrite may have stopped inside of a page. */
	uintptr_t start = run->start - (run->start - r->start) % relocate_page(r);
	size_t length = run->end - start;
	void *alias = relocate_map(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, r->to.fd,
				   relocate_offset(r, &r->to, start));
	if (alias == MAP_FAILED)
		return errno;
	/* Says "no memory" by a code where the first store would say it by SIGBUS. */
	int error =
		syscall(SYS_madvise, alias, length, MADV_POPULATE_WRITE) == 0 || errno == EINVAL ? 0 : ENOMEM;
	if (error == 0)
		memcpy(alias, (const void *)start, length);
	relocate_unmap(alias, length);
	return error;
}

/* pwrite beyond RLIMIT_FSIZE raises this signal, which is blocked here: it must not come when it no longer is. */
static void relocate_drop_sigxfsz(void)
{
	sigset_t set;
	struct timespec now = {0};
	sigemptyset(&set);
	sigaddset(&set, SIGXFSZ);
	(void)sigtimedwait(&set, NULL, &now);
}

static int relocate_copy(const struct segment_relocation *r, struct segment_run run)
{
	while (run.start < run.end) {
		size_t length = run.end - run.start;
		ssize_t done;
		if (r->to.fd < 0)
			done = syscall(SYS_pread64, r->from.fd, r->stage + (run.start - r->start), length,
				       relocate_offset(r, &r->from, run.start));
		else if (relocate_is_huge(&r->to))
			return relocate_copy_mapped(r, &run);
		else
			done = syscall(SYS_pwrite64, r->to.fd, (const void *)(uintptr_t)run.start, length,
				       relocate_offset(r, &r->to, run.start));
		if (done < 0 && errno == EFBIG) {
			relocate_drop_sigxfsz();
			return relocate_copy_mapped(r, &run);
		}
		if (done <= 0)
			return done < 0 ? errno : EIO;
		run.start += (size_t)done;
	}
	return 0;
}

/* Puts the new home at the address. Frees the private pages that were there. */
static int relocate_place(const struct segment_relocation *r, const struct relocate_piece *piece)
{
	size_t length = piece->end - piece->start;
	void *at = (void *)piece->start;
	off_t offset = relocate_offset(r, &r->to, piece->start);
	if (r->to.fd < 0) {
		if (syscall(SYS_mremap, r->stage + (piece->start - r->start), length, length,
			    MREMAP_MAYMOVE | MREMAP_FIXED, at) == -1)
			return errno;
		if (r->like->protection != (PROT_READ | PROT_WRITE))
			(void)relocate_set_protection(at, length, r->like->protection);
		return 0;
	}
	/* Huge pages are reserved by mapping them, which may fail: it must fail before the old ones are gone. */
	void *reserve = NULL;
	if (relocate_is_huge(&r->to)) {
		reserve = relocate_map(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, r->to.fd, offset);
		if (reserve == MAP_FAILED)
			return errno;
	}
	int error = 0;
	if (relocate_map(at, length, r->like->protection, MAP_SHARED | MAP_FIXED, r->to.fd, offset) ==
	    MAP_FAILED)
		error = errno;
	if (reserve)
		relocate_unmap(reserve, length);
	return error;
}

/* From the first trap to the wake: nothing here may allocate, log or wait for another thread. */
static int relocate_transit(struct segment_relocation *r, int pagemap, struct relocate_piece *piece)
{
	size_t length = piece->end - piece->start;
	/* The application took our right to read what it exported (mprotect); the new mapping gets its protection. */
	bool unreadable = r->to.fd >= 0 && !(r->like->protection & PROT_READ) && !piece->hole;
	int error = 0;
	if (unreadable && relocate_set_protection((void *)piece->start, length, PROT_READ) != 0)
		error = errno;
	if (error == 0)
		error = relocate_protect(r, pagemap, piece);
	for (size_t i = 0; i < piece->count && error == 0; i++)
		error = relocate_copy(r, piece->runs[i]);
	if (error == 0)
		error = relocate_place(r, piece);
	if (error != 0 && unreadable)
		(void)relocate_set_protection((void *)piece->start, length, r->like->protection);
	if (error != 0)
		segment_guard_release(r->guard, piece->start, length);
	else
		segment_guard_wake(r->guard, piece->start, length);
	return error;
}

void segment_relocate_advise(const struct segment_range *like, void *start, size_t length)
{
	if (like->dont_dump)
		(void)madvise(start, length, MADV_DONTDUMP);
	if (like->dont_fork)
		(void)madvise(start, length, MADV_DONTFORK);
	if (like->huge_advised)
		(void)madvise(start, length, MADV_HUGEPAGE);
	if (like->no_huge_advised)
		(void)madvise(start, length, MADV_NOHUGEPAGE);
}

/* What may be done after the wake. A failed mlock is an error: locked memory was locked for a reason. */
static int relocate_settle(const struct segment_relocation *r, const struct relocate_piece *piece)
{
	size_t length = piece->end - piece->start;
	void *at = (void *)piece->start;
	if (r->to.fd >= 0)
		segment_relocate_advise(r->like, at, length); /* the stage had its advice before */
	if (r->from.fd >= 0 && !r->keep && !piece->hole)
		segment_memfd_punch(r->from.fd, (uint64_t)relocate_offset(r, &r->from, piece->start), length);
	if (!r->like->locked)
		return 0;
	/* Pages that were not there although locked (MLOCK_ONFAULT) are not made now either. */
	return (piece->hole ? mlock2(at, length, MLOCK_ONFAULT) : mlock(at, length)) == 0 ? 0 : errno;
}

static int relocate_do(struct segment_relocation *r, int pagemap, struct relocate_piece *piece)
{
	sigset_t all, before;
	int cancel;
	piece->count = 0;
	piece->guarded = false;
	sigfillset(&all);
	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
	pthread_sigmask(SIG_SETMASK, &all, &before);
	int error = relocate_transit(r, pagemap, piece);
	pthread_sigmask(SIG_SETMASK, &before, NULL);
	pthread_setcancelstate(cancel, NULL);
	return error;
}

/* The next piece from the cursor on: the hole up to `data` if it is worth a mapping of its own, else a chunk. */
static void relocate_choose(const struct segment_relocation *r, uintptr_t data, struct relocate_piece *piece)
{
	size_t chunk = relocate_page(r) > SEGMENT_CHUNK ? relocate_page(r) : SEGMENT_CHUNK;
	piece->start = r->cursor;
	piece->hole = data > r->cursor && (data == r->end || data - r->cursor >= RELOCATE_HOLE);
	piece->end = piece->hole ? data : (r->cursor + chunk) / chunk * chunk;
	/* Huge pages of a hole are reserved piece by piece as well: the pool need not hold them twice. */
	if (piece->hole && relocate_is_huge(&r->to) && piece->end - piece->start > chunk)
		piece->end = piece->start + chunk;
	if (piece->end > r->end)
		piece->end = r->end;
}

int segment_relocate(struct segment_relocation *r)
{
	struct relocate_piece piece = {0}; /* valgrind does not see the kernel fill in the runs */
	int error = 0, pagemap = -1;
	r->cursor = r->start;
	r->data = (struct segment_run){.start = r->start, .end = r->start};
	if (r->from.fd < 0 && !r->dense) {
		pagemap = segment_pagemap_open();
		if (pagemap < 0)
			return -pagemap;
	}
	while (r->cursor < r->end && error == 0) {
		relocate_choose(r, relocate_first(r, pagemap, r->cursor), &piece);
		error = relocate_do(r, pagemap, &piece);
		if (error == EAGAIN && piece.hole) {
			/* Somebody touched a page of it just now. */
			relocate_choose(r, r->cursor, &piece);
			error = relocate_do(r, pagemap, &piece);
		}
		if (error == 0) {
			r->cursor = piece.end;
			error = relocate_settle(r, &piece);
		} else if (r->to.fd >= 0) {
			/* What was copied of it before the error is of no use to anybody. */
			segment_memfd_punch(r->to.fd, (uint64_t)relocate_offset(r, &r->to, piece.start),
					    piece.end - piece.start);
		}
	}
	base_fd_close(&pagemap);
	return error;
}
