/* SPDX-License-Identifier: BSD-2-Clause */
/*
 * Static probes (provider "rsm") for bpftrace, perf and SystemTap: one `nop` where they stand and a note in the file, nothing
 * else, until somebody attaches. Arguments are what is at hand: a probe must not make anybody compute. Without the header
 * of systemtap-sdt-dev they are nothing. doc/observability.md lists them; tests/system/probes.sh compares.
 */
#ifndef BASE_PROBE_H
#define BASE_PROBE_H

#if defined(__has_include)
#if __has_include(<sys/sdt.h>)
#define BASE_HAS_PROBES 1
#endif
#endif

#ifdef BASE_HAS_PROBES
#include <sys/sdt.h>
#define BASE_PROBE1(name, a)             DTRACE_PROBE1(rsm, name, a)
#define BASE_PROBE2(name, a, b)          DTRACE_PROBE2(rsm, name, a, b)
#define BASE_PROBE3(name, a, b, c)       DTRACE_PROBE3(rsm, name, a, b, c)
#define BASE_PROBE4(name, a, b, c, d)    DTRACE_PROBE4(rsm, name, a, b, c, d)
#define BASE_PROBE5(name, a, b, c, d, e) DTRACE_PROBE5(rsm, name, a, b, c, d, e)
#else
#define BASE_PROBE1(name, a)             ((void)(a))
#define BASE_PROBE2(name, a, b)          ((void)(a), (void)(b))
#define BASE_PROBE3(name, a, b, c)       ((void)(a), (void)(b), (void)(c))
#define BASE_PROBE4(name, a, b, c, d)    ((void)(a), (void)(b), (void)(c), (void)(d))
#define BASE_PROBE5(name, a, b, c, d, e) ((void)(a), (void)(b), (void)(c), (void)(d), (void)(e))
#endif

#endif
