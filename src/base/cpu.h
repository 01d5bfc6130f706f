/* SPDX-License-Identifier: BSD-2-Clause */
/* What a thread does between two looks at a word that another one is about to change. */
#ifndef BASE_CPU_H
#define BASE_CPU_H

static inline void base_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
	__builtin_ia32_pause();
#elif defined(__aarch64__)
	__asm__ volatile("yield" ::: "memory");
#else
	__asm__ volatile("" ::: "memory");
#endif
}

#endif
