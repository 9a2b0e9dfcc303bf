; Memory of tapes (tapes.py). A program has a list of blocks, the newest first, and a word with the
; address of the first one. In front of what a block holds is a header: the next block, and the
; address of the word that points at this one.

declare ptr @malloc(i64)
declare ptr @realloc(ptr, i64)
declare void @free(ptr)

; Room for so many bytes: new, in front of the list, where %data is null, and else in place of it,
; with what it held. Null if there is no memory; then %data is as it was.
define ptr @grow(ptr %list, ptr %data, i64 %bytes) nounwind {
start:
  %all = add i64 %bytes, $HEADER
  %new = icmp eq ptr %data, null
  br i1 %new, label %make, label %move
make:
  %made = call ptr @malloc(i64 %all)
  %none = icmp eq ptr %made, null
  br i1 %none, label %lacking, label %put
put:
  %first = load ptr, ptr %list
  store ptr %first, ptr %made
  br label %link
move:
  %old = getelementptr i8, ptr %data, i64 -$HEADER
  %moved = call ptr @realloc(ptr %old, i64 %all)
  %failed = icmp eq ptr %moved, null
  br i1 %failed, label %lacking, label %keep
keep:
  %word.at = getelementptr i8, ptr %moved, i64 8
  %before = load ptr, ptr %word.at
  br label %link
link:
  %block = phi ptr [%made, %put], [%moved, %keep]
  %word = phi ptr [%list, %put], [%before, %keep]
  store ptr %block, ptr %word
  %note = getelementptr i8, ptr %block, i64 8
  store ptr %word, ptr %note
  %next = load ptr, ptr %block
  %last = icmp eq ptr %next, null
  br i1 %last, label %done, label %behind
behind:
  %next.note = getelementptr i8, ptr %next, i64 8
  store ptr %block, ptr %next.note
  br label %done
done:
  %room = getelementptr i8, ptr %block, i64 $HEADER
  ret ptr %room
lacking:
  ret ptr null
}

; Free the blocks in front of this one; all of them, for null.
define void @drop(ptr %list, ptr %mark) nounwind {
start:
  br label %next
next:
  %block = load ptr, ptr %list
  %done = icmp eq ptr %block, %mark
  br i1 %done, label %end, label %one
one:
  %behind = load ptr, ptr %block
  store ptr %behind, ptr %list
  call void @free(ptr %block)
  br label %next
end:
  %left = icmp eq ptr %mark, null
  br i1 %left, label %out, label %note
note:
  %word.at = getelementptr i8, ptr %mark, i64 8
  store ptr %list, ptr %word.at
  br label %out
out:
  ret void
}
