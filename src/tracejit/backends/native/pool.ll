; Threads that run the parts of a program: the same machine code for every program (see pool.py). It
; calls nothing of Python's, and needs no GIL.
;
; A job is a function of (frame, index, scratch) and a number of indices. Who wants one done claims
; the pool (@busy), writes the job down, offers seats to workers, takes indices itself like they do,
; and returns when the last worker has left. Nobody waits for a worker that has not come. Where the
; pool is busy or may not be used, the caller runs all indices.
;
; @gate holds the seats that are free (upper half) and the workers at work (lower half), so that one
; instruction takes a seat or finds that there is none. A job's fields are written while no worker
; is at work and no seat is free, and read by those who took a seat.
;
; A name behind a dollar sign is put in by pool.py.

@limit = global i64 1                             ; threads for a job, the caller's included
@workers = global i64 0                           ; that have been started
@threads = internal global [256 x ptr] zeroinitializer
@busy = internal global i64 0, align 64           ; 1 while somebody has the pool
@gate = internal global i64 0, align 64
@next = internal global i64 0, align 64           ; index of the job that nobody has taken yet
@sleepers = internal global i64 0, align 64       ; workers that have to be woken
@awaited = internal global i64 0                  ; 1 while the caller sleeps until the last leaves
@stopping = internal global i64 0
@function = internal global ptr null
@frame = internal global ptr null
@count = internal global i64 0
@bytes = internal global i64 0                    ; of scratch memory for each thread
@floating = internal global [64 x i8] zeroinitializer, align 64  ; rounding and the like: fenv_t
@make = global ptr null                           ; of workspace.ll
@drop = global ptr null
@mutex = internal global [128 x i8] zeroinitializer, align 64
@wake = internal global [128 x i8] zeroinitializer, align 64
@left = internal global [128 x i8] zeroinitializer, align 64

declare i32 @fegetenv(ptr)
declare i32 @fesetenv(ptr)
declare i32 @sigfillset(ptr)
declare i32 @pthread_sigmask(i32, ptr, ptr)
declare i32 @pthread_create(ptr, ptr, ptr, ptr)
declare i32 @pthread_join(ptr, ptr)
declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)
declare i32 @pthread_cond_init(ptr, ptr)
declare i32 @pthread_cond_wait(ptr, ptr)
declare i32 @pthread_cond_signal(ptr)
declare i32 @pthread_cond_broadcast(ptr)

; Begin, and begin again in the child of a fork, which has none of the threads and all of the words.
define void @reset() nounwind {
  store i64 0, ptr @workers
  store i64 0, ptr @busy
  store i64 0, ptr @gate
  store i64 0, ptr @sleepers
  store i64 0, ptr @awaited
  store i64 0, ptr @stopping
  %mutex = call i32 @pthread_mutex_init(ptr @mutex, ptr null)
  %wake = call i32 @pthread_cond_init(ptr @wake, ptr null)
  %left = call i32 @pthread_cond_init(ptr @left, ptr null)
  ret void
}

; Call the function for each index below the count, on at most so many threads.
define void @run(ptr %function, ptr %frame, i64 %count, ptr %scratch, i64 %bytes, i64 %limit)
    nounwind {
start:
  %fewer = call i64 @llvm.umin.i64(i64 %count, i64 %limit)
  %threads = call i64 @llvm.umin.i64(i64 %fewer, i64 256)
  %several = icmp ugt i64 %threads, 1
  br i1 %several, label %claim, label %alone
claim:
  %claimed = cmpxchg ptr @busy, i64 0, i64 1 acquire monotonic
  %mine = extractvalue { i64, i1 } %claimed, 1
  br i1 %mine, label %open, label %alone
alone:
  %i = phi i64 [0, %start], [0, %claim], [%i.next, %one]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %one, label %done
one:
  call void %function(ptr %frame, i64 %i, ptr %scratch)
  %i.next = add i64 %i, 1
  br label %alone
done:
  ret void
open:
  %others = sub i64 %threads, 1
  %helpers = call i64 @hire(i64 %others)
  store ptr %function, ptr @function
  store ptr %frame, ptr @frame
  store i64 %count, ptr @count
  store i64 %bytes, ptr @bytes
  store i64 0, ptr @next
  %kept = call i32 @fegetenv(ptr @floating)
  %seats = shl i64 %helpers, 32
  store atomic i64 %seats, ptr @gate seq_cst, align 8
  %asleep = load atomic i64, ptr @sleepers seq_cst, align 8
  %ring = icmp ne i64 %asleep, 0
  br i1 %ring, label %call, label %work
call:
  call void @call_workers(i64 %helpers)
  br label %work
work:
  call void @take(ptr %function, ptr %frame, i64 %count, ptr %scratch)
  %before = atomicrmw and ptr @gate, i64 4294967295 seq_cst
  %inside = and i64 %before, 4294967295
  %empty = icmp eq i64 %inside, 0
  br i1 %empty, label %close, label %wait
wait:
  call void @wait_for_workers()
  br label %close
close:
  store atomic i64 0, ptr @busy release, align 8
  ret void
}

; Take indices until none is left.
define internal void @take(ptr %function, ptr %frame, i64 %count, ptr %scratch) nounwind {
start:
  br label %next
next:
  %i = atomicrmw add ptr @next, i64 1 monotonic
  %more = icmp ult i64 %i, %count
  br i1 %more, label %one, label %done
one:
  call void %function(ptr %frame, i64 %i, ptr %scratch)
  br label %next
done:
  ret void
}

; Wake so many workers. Who is about to sleep holds the mutex, and has counted itself before it
; looked at the gate for the last time.
define internal void @call_workers(i64 %count) nounwind {
start:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %one]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %one, label %done
one:
  %woken = call i32 @pthread_cond_signal(ptr @wake)
  %i.next = add i64 %i, 1
  br label %next
done:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  ret void
}

; Until all workers have left, when no seat is free: look often at first, then sleep.
define internal void @wait_for_workers() nounwind {
start:
  br label %look
look:
  %n = phi i64 [0, %start], [%n.next, %pause]
  %gate = load atomic i64, ptr @gate acquire, align 8
  %empty = icmp eq i64 %gate, 0
  br i1 %empty, label %done, label %again
again:
  %patient = icmp ult i64 %n, $SPINS
  br i1 %patient, label %pause, label %lie.down
pause:
  call void $PAUSE
  %n.next = add i64 %n, 1
  br label %look
lie.down:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  store atomic i64 1, ptr @awaited seq_cst, align 8
  br label %asleep
asleep:
  %gate.now = load atomic i64, ptr @gate seq_cst, align 8
  %empty.now = icmp eq i64 %gate.now, 0
  br i1 %empty.now, label %get.up, label %sleep
sleep:
  %slept = call i32 @pthread_cond_wait(ptr @left, ptr @mutex)
  br label %asleep
get.up:
  store atomic i64 0, ptr @awaited seq_cst, align 8
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %done
done:
  ret void
}

; See to it that there are so many workers, and return how many of them there are. Signals are for
; the threads of Python alone: workers block them all.
define internal i64 @hire(i64 %wanted) nounwind {
start:
  %have = load i64, ptr @workers
  %enough = icmp uge i64 %have, %wanted
  br i1 %enough, label %there, label %few
there:
  ret i64 %wanted
few:
  %all = alloca [128 x i8], align 8
  %usual = alloca [128 x i8], align 8
  %filled = call i32 @sigfillset(ptr %all)
  %blocked = call i32 @pthread_sigmask(i32 $SIG_SETMASK, ptr %all, ptr %usual)
  br label %next
next:
  %n = phi i64 [%have, %few], [%n.next, %started]
  %lacks = icmp ult i64 %n, %wanted
  br i1 %lacks, label %one, label %done
one:
  %place = getelementptr ptr, ptr @threads, i64 %n
  %status = call i32 @pthread_create(ptr %place, ptr null, ptr @work, ptr null)
  %fine = icmp eq i32 %status, 0
  br i1 %fine, label %started, label %done
started:
  %n.next = add i64 %n, 1
  br label %next
done:
  store i64 %n, ptr @workers
  %restored = call i32 @pthread_sigmask(i32 $SIG_SETMASK, ptr %usual, ptr null)
  ret i64 %n
}

; What a worker does: wait for a seat, take indices, leave. Its scratch memory stays for the next
; job, if it is not much.
define internal ptr @work(ptr %unused) nounwind {
start:
  %drop = load ptr, ptr @drop                       ; null is fine for it
  br label %idle
idle:
  %memory = phi ptr [null, %start], [%memory, %late], [%memory.kept, %rested]
  %room = phi i64 [0, %start], [%room, %late], [%room.kept, %rested]
  %found = call i64 @seat()
  %ended = icmp eq i64 %found, 0
  br i1 %ended, label %end, label %sit
sit:
  %fewer = sub i64 %found, 4294967295             ; a seat less, a worker more
  %swapped = cmpxchg ptr @gate, i64 %found, i64 %fewer seq_cst monotonic
  %seated = extractvalue { i64, i1 } %swapped, 1
  br i1 %seated, label %begin, label %late
late:
  br label %idle
begin:
  %bytes = load i64, ptr @bytes
  %fits = icmp ule i64 %bytes, %room
  br i1 %fits, label %ready, label %grow
grow:
  call void %drop(ptr %memory)
  %make = load ptr, ptr @make
  %grown = call ptr %make(i64 %bytes)
  %lacking = icmp eq ptr %grown, null
  br i1 %lacking, label %leave, label %ready
ready:
  %memory.here = phi ptr [%memory, %begin], [%grown, %grow]
  %room.here = phi i64 [%room, %begin], [%bytes, %grow]
  %function = load ptr, ptr @function
  %frame = load ptr, ptr @frame
  %count = load i64, ptr @count
  %set = call i32 @fesetenv(ptr @floating)
  call void @take(ptr %function, ptr %frame, i64 %count, ptr %memory.here)
  br label %leave
leave:
  %memory.now = phi ptr [%memory.here, %ready], [null, %grow]
  %room.now = phi i64 [%room.here, %ready], [0, %grow]
  call void @leave()
  %much = icmp ugt i64 %room.now, $KEPT_SCRATCH
  br i1 %much, label %tidy, label %rested
tidy:
  call void %drop(ptr %memory.now)
  br label %rested
rested:
  %memory.kept = phi ptr [%memory.now, %leave], [null, %tidy]
  %room.kept = phi i64 [%room.now, %leave], [0, %tidy]
  br label %idle
end:
  call void %drop(ptr %memory)
  ret ptr null
}

; Wait for a free seat: the gate as it was then, or 0 when the pool stops.
define internal i64 @seat() nounwind {
start:
  br label %look
look:
  %n = phi i64 [0, %start], [%n.next, %pause]
  %gate = load atomic i64, ptr @gate acquire, align 8
  %free = icmp ugt i64 %gate, 4294967295
  br i1 %free, label %found, label %again
found:
  ret i64 %gate
again:
  %patient = icmp ult i64 %n, $SPINS
  br i1 %patient, label %pause, label %lie.down
pause:
  call void $PAUSE
  %n.next = add i64 %n, 1
  br label %look
lie.down:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %counted = atomicrmw add ptr @sleepers, i64 1 seq_cst
  br label %asleep
asleep:
  %gate.now = load atomic i64, ptr @gate seq_cst, align 8
  %free.now = icmp ugt i64 %gate.now, 4294967295
  %stopping = load atomic i64, ptr @stopping seq_cst, align 8
  %ended = icmp ne i64 %stopping, 0
  %up = or i1 %free.now, %ended
  br i1 %up, label %get.up, label %sleep
sleep:
  %slept = call i32 @pthread_cond_wait(ptr @wake, ptr @mutex)
  br label %asleep
get.up:
  %uncounted = atomicrmw sub ptr @sleepers, i64 1 seq_cst
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  br i1 %ended, label %end, label %found.now
found.now:
  ret i64 %gate.now
end:
  ret i64 0
}

; A worker leaves. Nobody need come after it, since no index is left. The last one wakes the caller.
define internal void @leave() nounwind {
start:
  %closed = atomicrmw and ptr @gate, i64 4294967295 seq_cst
  %before = atomicrmw sub ptr @gate, i64 1 seq_cst
  %last = icmp eq i64 %before, 1
  br i1 %last, label %look, label %done
look:
  %awaited = load atomic i64, ptr @awaited seq_cst, align 8
  %asleep = icmp ne i64 %awaited, 0
  br i1 %asleep, label %tell, label %done
tell:
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %woken = call i32 @pthread_cond_signal(ptr @left)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  br label %done
done:
  ret void
}

; End the workers, unless somebody is using them.
define void @stop() nounwind {
start:
  %claimed = cmpxchg ptr @busy, i64 0, i64 1 acquire monotonic
  %mine = extractvalue { i64, i1 } %claimed, 1
  br i1 %mine, label %tell, label %done
tell:
  store atomic i64 1, ptr @stopping seq_cst, align 8
  %locked = call i32 @pthread_mutex_lock(ptr @mutex)
  %woken = call i32 @pthread_cond_broadcast(ptr @wake)
  %unlocked = call i32 @pthread_mutex_unlock(ptr @mutex)
  %count = load i64, ptr @workers
  br label %next
next:
  %i = phi i64 [0, %tell], [%i.next, %one]
  %more = icmp ult i64 %i, %count
  br i1 %more, label %one, label %ended
one:
  %place = getelementptr ptr, ptr @threads, i64 %i
  %thread = load ptr, ptr %place
  %joined = call i32 @pthread_join(ptr %thread, ptr null)
  %i.next = add i64 %i, 1
  br label %next
ended:
  store i64 0, ptr @workers
  store atomic i64 0, ptr @stopping seq_cst, align 8
  store atomic i64 0, ptr @busy release, align 8
  br label %done
done:
  ret void
}
