/* SPDX-License-Identifier: BSD-2-Clause */
/* lib/handle.c: any value at all may be asked for; only a handle in use, of the right kind, is found. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/reason.h"
#include "lib/handle.h"
#include "rsmapi.h"

#define KINDS 4

/* NULL when there are no more. */
static void *take(void)
{
	void *slot = NULL;
	return lib_handle_take(&slot) == RSM_SUCCESS ? slot : NULL;
}

/* Finds without any kind in mind: the slot, or NULL when no kind has it. */
static void *find_any(uintptr_t value)
{
	for (int kind = 0; kind < KINDS; kind++) {
		void *slot = lib_handle_find((void *)value, (enum lib_handle_kind)kind);
		if (slot != NULL)
			return slot;
	}
	return NULL;
}

static void expect_none_wild(void)
{
	const uintptr_t base = lib_handle_area.base, committed = atomic_load(&lib_handle_area.committed);
	const uintptr_t wild[] = {0,
				  1,
				  255,
				  4096,
				  (uintptr_t)&base,
				  (uintptr_t)expect_none_wild,
				  base - 1,
				  base - LIB_HANDLE_SLOT,
				  base + committed,
				  base + committed + 1,
				  base + committed - 1,
				  base + (uintptr_t)LIB_HANDLE_SLOTS * LIB_HANDLE_SLOT,
				  0x0000800000000000u, /* not canonical */
				  0x8000000000000000u,
				  0xdeadbeefdeadbeefu,
				  0xffff800000000000u, /* the kernel's */
				  UINTPTR_MAX - 255,
				  UINTPTR_MAX};
	for (size_t i = 0; i < sizeof(wild) / sizeof(*wild); i++)
		for (unsigned low = 0; low < KINDS; low++)
			assert_null(find_any(wild[i] ^ low));
}

/* The first test: no area exists yet. */
static void test_before_the_first(void **state)
{
	(void)state;
	assert_int_equal(lib_handle_area.base, 0);
	expect_none_wild();
}

static void test_wild(void **state)
{
	(void)state;
	void *slot = take();
	void *value = lib_handle_publish(slot, LIB_HANDLE_EXPORT);
	expect_none_wild();
	assert_ptr_equal(find_any((uintptr_t)value), slot);
	lib_handle_free(slot);
	expect_none_wild();
}

static void test_kinds(void **state)
{
	(void)state;
	for (int kind = 0; kind < KINDS; kind++) {
		void *slot = take();
		assert_non_null(slot);
		void *value = lib_handle_publish(slot, (enum lib_handle_kind)kind);
		assert_non_null(value);
		for (int other = 0; other < KINDS; other++) {
			void *found = lib_handle_find(value, (enum lib_handle_kind)other);
			assert_ptr_equal(found, other == kind ? slot : NULL);
		}
		lib_handle_free(slot);
		assert_null(find_any((uintptr_t)value));
	}
}

/* Nothing near a handle is one: not in its slot, not beside it. */
static void test_neighbours(void **state)
{
	(void)state;
	void *slot = take();
	uintptr_t value = (uintptr_t)lib_handle_publish(slot, LIB_HANDLE_IMPORT);
	for (uintptr_t low = 0; low < LIB_HANDLE_SLOT; low++) {
		uintptr_t near = (uintptr_t)slot + low;
		assert_ptr_equal(find_any(near), near == value ? slot : NULL);
	}
	assert_null(find_any(value + LIB_HANDLE_SLOT));
	lib_handle_free(slot);
}

static void test_unpublished(void **state)
{
	(void)state;
	void *slot = take();
	for (uintptr_t low = 0; low < LIB_HANDLE_SLOT; low++)
		assert_null(find_any((uintptr_t)slot + low));
	lib_handle_free(slot); /* a call that failed half way */
}

/* Takes until `wanted` comes round again; the others are freed. */
static bool take_again(void *wanted)
{
	for (unsigned i = 0; i < 4096; i++) {
		void *slot = take();
		assert_non_null(slot);
		if (slot == wanted)
			return true;
		lib_handle_free(slot);
	}
	return false;
}

static void test_stale(void **state)
{
	enum { USES = LIB_HANDLE_SLOT / 4 };
	uintptr_t values[USES];
	unsigned char *slot = take();

	(void)state;
	for (unsigned use = 0; use < USES; use++) {
		for (size_t i = sizeof(struct lib_handle); i < LIB_HANDLE_SLOT; i++)
			assert_int_equal(slot[i], 0); /* nothing is left of the use before */
		values[use] = (uintptr_t)lib_handle_publish(slot, LIB_HANDLE_EXPORT);
		memset(slot + sizeof(struct lib_handle), 0xff, LIB_HANDLE_SLOT - sizeof(struct lib_handle));
		for (unsigned old = 0; old < use; old++) {
			assert_int_not_equal(values[old], values[use]);
			assert_null(find_any(values[old]));
		}
		assert_ptr_equal(find_any(values[use]), slot);
		lib_handle_free(slot);
		assert_null(find_any(values[use]));
		assert_true(take_again(slot));
	}
	lib_handle_free(slot);
}

/* What was freed first is used first, so that every stale handle stays detectable for as long as can be. */
static void test_freed_queue(void **state)
{
	void *slots[200];

	(void)state;
	for (unsigned i = 0; i < 200; i++)
		slots[i] = take();
	for (unsigned i = 0; i < 200; i++)
		lib_handle_free(slots[i]);
	void *first = take();
	unsigned older = 0; /* freed before this test */
	while (first != slots[0] && older++ < 4096)
		first = take();
	assert_ptr_equal(first, slots[0]);
	for (unsigned i = 1; i < 200; i++)
		assert_ptr_equal(take(), slots[i]);
	for (unsigned i = 0; i < 200; i++)
		lib_handle_free(slots[i]);
}

/* The area grows in steps of 64 KiB, that is 256 slots; handles stay where they are. */
static void test_growth(void **state)
{
	enum { COUNT = 1500 };
	void **slots = calloc(COUNT, sizeof(*slots)), **values = calloc(COUNT, sizeof(*values));

	(void)state;
	assert_true(slots != NULL && values != NULL);
	const uintptr_t base = lib_handle_area.base;
	for (unsigned i = 0; i < COUNT; i++) {
		slots[i] = take();
		assert_non_null(slots[i]);
		values[i] = lib_handle_publish(slots[i], (enum lib_handle_kind)(i % KINDS));
		expect_none_wild();
	}
	assert_int_equal(lib_handle_area.base, base);
	assert_true(atomic_load(&lib_handle_area.committed) >= (size_t)COUNT * LIB_HANDLE_SLOT);
	for (unsigned i = 0; i < COUNT; i++)
		assert_ptr_equal(lib_handle_find(values[i], (enum lib_handle_kind)(i % KINDS)), slots[i]);
	for (unsigned i = 0; i < COUNT; i += 2)
		lib_handle_free(slots[i]);
	for (unsigned i = 0; i < COUNT; i++)
		assert_ptr_equal(find_any((uintptr_t)values[i]), i % 2 == 0 ? NULL : slots[i]);
	for (unsigned i = 1; i < COUNT; i += 2)
		lib_handle_free(slots[i]);
	free(slots);
	free(values);
}

/* ---- lookups while others free ---- */

static _Atomic uintptr_t shown;
static _Atomic bool over;

static void *look(void *wrong)
{
	while (!atomic_load(&over)) {
		uintptr_t value = atomic_load(&shown);
		void *found = lib_handle_find((void *)value, LIB_HANDLE_LOCALMEM);
		if (found != NULL && (uintptr_t)found != (value & ~(uintptr_t)(LIB_HANDLE_SLOT - 1)))
			*(_Atomic unsigned *)wrong += 1;
		if (lib_handle_find((void *)value, LIB_HANDLE_EXPORT) != NULL)
			*(_Atomic unsigned *)wrong += 1;
	}
	return NULL;
}

static void test_find_while_freed(void **state)
{
	pthread_t threads[2];
	_Atomic unsigned wrong = 0;

	(void)state;
	for (int i = 0; i < 2; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, look, &wrong), 0);
	for (unsigned i = 0; i < 100000; i++) {
		void *slot = take();
		void *value = lib_handle_publish(slot, LIB_HANDLE_LOCALMEM);
		atomic_store(&shown, (uintptr_t)value);
		lib_handle_free(slot);
		if (lib_handle_find(value, LIB_HANDLE_LOCALMEM) != NULL)
			wrong++;
	}
	atomic_store(&over, true);
	for (int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(wrong, 0);
}

/* The last test: takes all there are. Freed slots can be had again. */
static void test_exhaustion(void **state)
{
	void *slot, *last = NULL;
	unsigned count = 0;

	(void)state;
	for (; (slot = take()) != NULL && count <= LIB_HANDLE_SLOTS; count++)
		last = slot;
	assert_int_equal(count, LIB_HANDLE_SLOTS);
	assert_non_null(strstr(base_reason(), "262144 handles"));
	assert_int_equal(lib_handle_take(&slot), RSMERR_INSUFFICIENT_RESOURCES);
	assert_null(slot);
	void *value = lib_handle_publish(last, LIB_HANDLE_IMPORT);
	assert_ptr_equal(find_any((uintptr_t)value), last);
	expect_none_wild();
	lib_handle_free(last);
	assert_ptr_equal(take(), last);
	assert_null(take());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_before_the_first),
		cmocka_unit_test(test_wild),
		cmocka_unit_test(test_kinds),
		cmocka_unit_test(test_neighbours),
		cmocka_unit_test(test_unpublished),
		cmocka_unit_test(test_stale),
		cmocka_unit_test(test_freed_queue),
		cmocka_unit_test(test_growth),
		cmocka_unit_test(test_find_while_freed),
		cmocka_unit_test(test_exhaustion),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
