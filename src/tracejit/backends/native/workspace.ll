; The memory that programs work in, where several threads may run one program at once. A program has
; a few slots for workspaces that nobody uses at the moment.

declare ptr @malloc(i64)
declare void @free(ptr)

; Memory that begins at a multiple of 64; null if there is none. In front of it is the address of
; what malloc gave.
define ptr @make(i64 %bytes) nounwind {
start:
  %more = add i64 %bytes, 128
  %raw = call ptr @malloc(i64 %more)
  %lacking = icmp eq ptr %raw, null
  br i1 %lacking, label %none, label %align
align:
  %at = ptrtoint ptr %raw to i64
  %behind = add i64 %at, 127
  %aligned = and i64 %behind, -64
  %memory = inttoptr i64 %aligned to ptr
  %note = getelementptr i8, ptr %memory, i64 -8
  store ptr %raw, ptr %note
  ret ptr %memory
none:
  ret ptr null
}

; Give memory of @make back; null is fine.
define void @drop(ptr %memory) nounwind {
start:
  %none = icmp eq ptr %memory, null
  br i1 %none, label %done, label %some
some:
  %note = getelementptr i8, ptr %memory, i64 -8
  %raw = load ptr, ptr %note
  call void @free(ptr %raw)
  br label %done
done:
  ret void
}

; A workspace out of the slots of a program, or a new one where another thread has it; null if
; there is no memory.
define ptr @acquire(ptr %slots, i64 %bytes) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %empty]
  %more = icmp ult i64 %i, $SLOTS
  br i1 %more, label %try, label %new
try:
  %slot = getelementptr ptr, ptr %slots, i64 %i
  %found = atomicrmw xchg ptr %slot, ptr null acquire
  %none = icmp eq ptr %found, null
  br i1 %none, label %empty, label %done
empty:
  %i.next = add i64 %i, 1
  br label %next
done:
  ret ptr %found
new:
  %made = call ptr @make(i64 %bytes)
  ret ptr %made
}

; Put a workspace into a free slot for later calls.
define void @release(ptr %slots, ptr %memory) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %full]
  %more = icmp ult i64 %i, $SLOTS
  br i1 %more, label %try, label %drop
try:
  %slot = getelementptr ptr, ptr %slots, i64 %i
  %swapped = cmpxchg ptr %slot, ptr null, ptr %memory release monotonic
  %put = extractvalue { ptr, i1 } %swapped, 1
  br i1 %put, label %done, label %full
full:
  %i.next = add i64 %i, 1
  br label %next
drop:
  call void @drop(ptr %memory)
  br label %done
done:
  ret void
}
