/* SPDX-License-Identifier: BSD-2-Clause */
/* Object locks.  Users may hold several; the library takes none of them under
 * a lock of its own. */
#include "kpi/misuse.h"
#include "kpi/object.h"

#include <errno.h>

__thread char contig_thread_mark;

void vm_object_wlock(vm_object_t object)
{
	if (object_wowned(object)) {
		misuse("vm_object_wlock(%p): this thread has it already", (void *)object);
		return;
	}
	pthread_rwlock_wrlock(&object->lock);
	__atomic_store_n(&object->owner, contig_this_thread(), __ATOMIC_RELAXED);
}

bool vm_object_trywlock(vm_object_t object)
{
	if (pthread_rwlock_trywrlock(&object->lock))
		return false;
	__atomic_store_n(&object->owner, contig_this_thread(), __ATOMIC_RELAXED);
	return true;
}

void vm_object_wunlock(vm_object_t object)
{
	if (!object_wowned(object)) {
		misuse("vm_object_wunlock(%p): not write-locked by this thread", (void *)object);
		return;
	}
	__atomic_store_n(&object->owner, NULL, __ATOMIC_RELAXED);
	pthread_rwlock_unlock(&object->lock);
}

void vm_object_rlock(vm_object_t object)
{
	int err = object_wowned(object) ? EDEADLK : pthread_rwlock_rdlock(&object->lock);

	if (err) {
		misuse("vm_object_rlock(%p): %s", (void *)object,
		       err == EDEADLK ? "this thread has it write-locked" : "too many readers");
		return;
	}
	__atomic_fetch_add(&object->readers, 1, __ATOMIC_RELAXED);
}

bool vm_object_tryrlock(vm_object_t object)
{
	if (pthread_rwlock_tryrdlock(&object->lock))
		return false;
	__atomic_fetch_add(&object->readers, 1, __ATOMIC_RELAXED);
	return true;
}

void vm_object_runlock(vm_object_t object)
{
	uint32_t readers = __atomic_load_n(&object->readers, __ATOMIC_RELAXED);

	do {
		if (!readers) {
			misuse("vm_object_runlock(%p): not read-locked", (void *)object);
			return;
		}
	} while (!__atomic_compare_exchange_n(&object->readers, &readers, readers - 1, true,
					      __ATOMIC_RELAXED, __ATOMIC_RELAXED));
	pthread_rwlock_unlock(&object->lock);
}

bool vm_object_wowned(vm_object_t object)
{
	return object_wowned(object);
}

bool contig_object_require_wlock(const struct vm_object *object, const char *call)
{
	if (__builtin_expect(object_wowned(object), 1))
		return true;
	misuse("%s: object %p is not write-locked by this thread", call, (const void *)object);
	return false;
}

void vm_object_assert_wlocked(vm_object_t object)
{
	contig_object_require_wlock(object, "vm_object_assert_wlocked");
}

void vm_object_assert_locked(vm_object_t object)
{
	/* Whose a read lock is isn't known: somebody's will do. */
	if (!object_wowned(object) && !__atomic_load_n(&object->readers, __ATOMIC_RELAXED))
		misuse("vm_object_assert_locked(%p): not locked", (void *)object);
}
