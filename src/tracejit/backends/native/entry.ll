; What runs when a callable is called: one interpreter of records, the same machine code for
; every signature.
;
; A record is a row of 64 bit words, written by entry.py, which says what they mean:
;
;     next record, header, keywords...     checks..., END     makes..., END     packs..., END
;
; What follows the checks is in entry_check.ll, what makes results in entry_make.ll.
;
; That of a bound call, whose arguments and results are fixed, has no steps (see @bound).
;
; A name behind a dollar sign stands for a byte offset of abi.Layout, for a constant of entry.py
; (capitals), or for the place in the table @table where the pointer of that name is found. So
; the code holds no address, and can be kept on disk.
;
; Functions that check return i1, false for "not this signature", and raise nothing. Functions
; that make objects return false or null with a Python exception set.

@table = global [$table_size x ptr] zeroinitializer, align 16

; The vectorcall function of every callable: try its records one by one, and call _miss when
; none takes the call. A glance at one argument passes most of those by that do not.
define ptr @call(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
start:
  %first.at = getelementptr i8, ptr %self, i64 $chain
  %first = load ptr, ptr %first.at
  br label %next
next:
  %record = phi ptr [%first, %start], [%following, %passed]
  %none = icmp eq ptr %record, null
  br i1 %none, label %missed, label %glance
glance:
  %telling.at = getelementptr i64, ptr %record, i64 $TELLING_CHECK
  %telling = load i64, ptr %telling.at
  %silent = icmp eq i64 %telling, 0
  br i1 %silent, label %try, label %look
look:
  %check = getelementptr i64, ptr %record, i64 %telling
  %likely = call i1 @likely(ptr %record, ptr %check, ptr %args, i64 %nargsf)
  br i1 %likely, label %try, label %passed
try:
  %result = call ptr @attempt(ptr %record, ptr %args, i64 %nargsf, ptr %kwnames)
  %not.mine = icmp eq ptr %result, inttoptr (i64 1 to ptr)
  br i1 %not.mine, label %passed, label %done
passed:
  %following = load ptr, ptr %record
  br label %next
done:
  ret ptr %result
missed:
  %answer = tail call ptr @miss(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  ret ptr %answer
}

; The vectorcall function of a bound call, which has one record: next, kernel, path, result, place of
; the outputs, inputs..., outputs... A call with arguments is one of _miss, as is one that the
; kernel declines.
define ptr @bound(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
start:
  %count = and i64 %nargsf, 9223372036854775807
  %unnumbered = icmp eq i64 %count, 0
  %unnamed = icmp eq ptr %kwnames, null
  %bare = and i1 %unnumbered, %unnamed
  br i1 %bare, label %run, label %missed
run:
  %record.at = getelementptr i8, ptr %self, i64 $chain
  %record = load ptr, ptr %record.at
  %kernel.at = getelementptr i64, ptr %record, i64 $BOUND_KERNEL
  %kernel.first = load ptr, ptr %kernel.at
  %place.at = getelementptr i64, ptr %record, i64 $BOUND_OUTPUTS
  %place = load i64, ptr %place.at
  %inputs = getelementptr i64, ptr %record, i64 $BOUND_HEADER
  %outputs = getelementptr i64, ptr %record, i64 %place
  %result.at = getelementptr i64, ptr %record, i64 $BOUND_RESULT
  %result = load ptr, ptr %result.at
  %path.at = getelementptr i64, ptr %record, i64 $BOUND_PATH
  %path.first = load ptr, ptr %path.at
  br label %enter
enter:
  %kernel = phi ptr [%kernel.first, %run], [%kernel.next, %path.next]
  %path = phi ptr [%path.first, %run], [%path.other, %path.next]
  %status = call i64 %kernel(ptr %inputs, ptr %outputs)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %done, label %other.path
other.path:
  %path.other = call ptr @path_behind(ptr %path, i64 %status)
  %at.end = icmp eq ptr %path.other, null
  br i1 %at.end, label %left, label %path.next
path.next:
  %kernel.other.at = getelementptr i64, ptr %path.other, i64 $PATH_UNLOCKED
  %kernel.next = load ptr, ptr %kernel.other.at
  br label %enter
left:
  %raised = icmp slt i64 %status, 0
  br i1 %raised, label %raise, label %missed
raise:
  call void @raise()
  ret ptr null
done:
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %result)
  ret ptr %result
missed:
  %answer = tail call ptr @miss(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames)
  ret ptr %answer
}

; One record: the result, null with an exception set, or 1 where the call is not of this
; signature.
define internal ptr @attempt(ptr %record, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
start:
  %fresh = alloca i64
  %known = alloca i64
  %gate.at = getelementptr i64, ptr %record, i64 $GATE
  %gate = load ptr, ptr %gate.at
  %closed = load atomic i64, ptr %gate monotonic, align 8
  %open = icmp eq i64 %closed, 0
  br i1 %open, label %opened, label %ask
ask:
  %let.in = call i1 @admitted(ptr %gate)
  br i1 %let.in, label %opened, label %no
opened:
  %count = and i64 %nargsf, 9223372036854775807
  %positional.at = getelementptr i64, ptr %record, i64 $POSITIONAL
  %positional = load i64, ptr %positional.at
  %same.count = icmp eq i64 %count, %positional
  br i1 %same.count, label %named, label %no
named:
  %keywords.at = getelementptr i64, ptr %record, i64 $KEYWORDS
  %keywords = load i64, ptr %keywords.at
  %unnamed = icmp eq ptr %kwnames, null
  br i1 %unnamed, label %agreed, label %sized
sized:
  %names.at = getelementptr i8, ptr %kwnames, i64 $var_size
  %names.size = load i64, ptr %names.at
  br label %agreed
agreed:
  %names = phi i64 [0, %named], [%names.size, %sized]
  %same.names = icmp eq i64 %names, %keywords
  br i1 %same.names, label %frame, label %no
frame:
  %words.at = getelementptr i64, ptr %record, i64 $FRAME
  %words = load i64, ptr %words.at
  %queue = alloca i64, i64 %words, align 16
  %inputs.at = getelementptr i64, ptr %record, i64 $INPUTS
  %inputs.place = load i64, ptr %inputs.at
  %inputs = getelementptr i64, ptr %queue, i64 %inputs.place
  %room.at = getelementptr i64, ptr %record, i64 $ROOM
  %room.place = load i64, ptr %room.at
  %room = getelementptr i64, ptr %queue, i64 %room.place
  %outputs.at = getelementptr i64, ptr %record, i64 $OUTPUTS
  %outputs.place = load i64, ptr %outputs.at
  %outputs = getelementptr i64, ptr %queue, i64 %outputs.place
  %objects.at = getelementptr i64, ptr %record, i64 $OBJECTS
  %objects.place = load i64, ptr %objects.at
  %objects = getelementptr i64, ptr %queue, i64 %objects.place
  %ours.at = getelementptr i64, ptr %record, i64 $OURS
  %ours.place = load i64, ptr %ours.at
  %ours = getelementptr i64, ptr %queue, i64 %ours.place
  store i64 0, ptr %ours
  %keys = getelementptr i64, ptr %record, i64 $HEADER
  br label %copy
copy:
  %i = phi i64 [0, %frame], [%i.next, %copy.word]
  %i.more = icmp slt i64 %i, %count
  br i1 %i.more, label %copy.word, label %name
copy.word:
  %arg.at = getelementptr ptr, ptr %args, i64 %i
  %arg = load ptr, ptr %arg.at
  %queue.i = getelementptr ptr, ptr %queue, i64 %i
  store ptr %arg, ptr %queue.i
  %i.next = add i64 %i, 1
  br label %copy
name:
  %k = phi i64 [0, %copy], [%k.next, %name.found]
  %k.more = icmp slt i64 %k, %keywords
  br i1 %k.more, label %name.find, label %check
name.find:
  %key.at = getelementptr ptr, ptr %keys, i64 %k
  %key = load ptr, ptr %key.at
  %place = call i64 @keyword(ptr %kwnames, i64 %keywords, ptr %key, i64 %k)
  %absent = icmp slt i64 %place, 0
  br i1 %absent, label %no, label %name.found
name.found:
  %behind = add i64 %place, %count
  %value.at = getelementptr ptr, ptr %args, i64 %behind
  %value = load ptr, ptr %value.at
  %queue.place = add i64 %k, %count
  %queue.k = getelementptr ptr, ptr %queue, i64 %queue.place
  store ptr %value, ptr %queue.k
  %k.next = add i64 %k, 1
  br label %name
check:
  %checks = getelementptr i64, ptr %keys, i64 %keywords
  %given = add i64 %count, %keywords
  %tail = getelementptr ptr, ptr %queue, i64 %given
  %makes = call ptr @check(
    ptr %checks, ptr %queue, ptr %tail, ptr %inputs, ptr %room, ptr %ours)
  %differs = icmp eq ptr %makes, null
  br i1 %differs, label %pass, label %make
make:
  store i64 0, ptr %fresh
  store i64 1, ptr %known
  %spare = call ptr @spare(ptr %record)
  store ptr %spare, ptr %objects
  %packs = call ptr @make(ptr %makes, ptr %objects, ptr %outputs, ptr %room, ptr %fresh, ptr %known)
  %root = load ptr, ptr %objects
  %root.bits = ptrtoint ptr %root to i64
  %root.tag = and i64 %root.bits, 1
  %is.spare = icmp ne i64 %root.tag, 0
  br i1 %is.spare, label %hold, label %made
hold:                                 ; from now on the spare is in use
  %spare.x = getelementptr i8, ptr %root, i64 -1
  %references = getelementptr i8, ptr %spare.x, i64 $ob_refcnt
  store i64 2, ptr %references
  br label %made
made:
  %unmade = icmp eq ptr %packs, null
  br i1 %unmade, label %fail, label %run
run:
  %kernel.at = getelementptr i64, ptr %record, i64 $KERNEL
  %kernel.first = load ptr, ptr %kernel.at
  %release.at = getelementptr i64, ptr %record, i64 $RELEASE
  %release.first = load i64, ptr %release.at
  %path.at = getelementptr i64, ptr %record, i64 $PATH
  %path.first = load ptr, ptr %path.at
  br label %enter
enter:
  %kernel = phi ptr [%kernel.first, %run], [%kernel.next, %path.next]
  %release = phi i64 [%release.first, %run], [%release.next, %path.next]
  %path = phi ptr [%path.first, %run], [%path.other, %path.next]
  %held = phi i1 [false, %run], [%held.now, %path.next]
  %keep = icmp eq i64 %release, 0
  br i1 %keep, label %run.kept, label %release.gil
run.kept:
  %status.kept = call i64 %kernel(ptr %inputs, ptr %outputs)
  br label %ran
release.gil:
  br i1 %held, label %run.released, label %hold.arguments
hold.arguments:
  %incref = load ptr, ptr $Py_IncRef
  call void @each(ptr %incref, ptr %queue, i64 %inputs.place)
  br label %run.released
run.released:
  %save = load ptr, ptr $PyEval_SaveThread
  %thread = call ptr %save()
  %status.released = call i64 %kernel(ptr %inputs, ptr %outputs)
  %restore = load ptr, ptr $PyEval_RestoreThread
  call void %restore(ptr %thread)
  br label %ran
ran:
  %status = phi i64 [%status.kept, %run.kept], [%status.released, %run.released]
  %held.now = phi i1 [%held, %run.kept], [true, %run.released]
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %ended, label %other.path
other.path:
  %path.other = call ptr @path_behind(ptr %path, i64 %status)
  %at.end = icmp eq ptr %path.other, null
  br i1 %at.end, label %ended, label %path.next
path.next:
  %kernel.other.at = getelementptr i64, ptr %path.other, i64 $PATH_KERNEL
  %kernel.next = load ptr, ptr %kernel.other.at
  %release.other.at = getelementptr i64, ptr %path.other, i64 $PATH_RELEASE
  %release.next = load i64, ptr %release.other.at
  br label %enter
ended:
  br i1 %held.now, label %let.arguments.go, label %over
let.arguments.go:
  %drop = load ptr, ptr $Py_DecRef
  call void @each(ptr %drop, ptr %queue, i64 %inputs.place)
  br label %over
over:
  br i1 %fine, label %ready, label %left
left:
  %raised = icmp slt i64 %status, 0
  br i1 %raised, label %raise, label %decline
raise:
  call void @raise()
  br label %fail
ready:
  %changes = load i64, ptr %fresh
  %as.before = icmp eq i64 %changes, 0
  br i1 %as.before, label %yes, label %pack
pack:
  %packed = call i1 @pack(ptr %packs, ptr %objects, ptr %room)
  br i1 %packed, label %yes, label %fail
yes:
  %owned = load i64, ptr %ours
  %owns.none = icmp eq i64 %owned, 0
  br i1 %owns.none, label %finished, label %disown
disown:
  call void @drop(ptr %ours)
  br label %finished
finished:
  %result = load ptr, ptr %objects
  %result.bits = ptrtoint ptr %result to i64
  %result.tag = and i64 %result.bits, 1
  %is.fresh = icmp eq i64 %result.tag, 0
  br i1 %is.fresh, label %result.fresh, label %result.spare
result.fresh:
  call void @keep(ptr %record, ptr %result)
  ret ptr %result
result.spare:
  %result.x = getelementptr i8, ptr %result, i64 -1
  ret ptr %result.x
decline:
  call void @give_up(ptr %objects, ptr %known)
  br label %pass
pass:
  call void @drop(ptr %ours)
  br label %no
no:
  ret ptr inttoptr (i64 1 to ptr)
fail:
  call void @give_up(ptr %objects, ptr %known)
  call void @drop(ptr %ours)
  ret ptr null
}

; Whether a gate that is closed lets this call in.
define internal i1 @admitted(ptr %gate) nounwind {
start:
  %value.at = alloca ptr
  store ptr null, ptr %value.at
  %variable.at = getelementptr ptr, ptr %gate, i64 1
  %variable = load ptr, ptr %variable.at
  %first.at = getelementptr ptr, ptr %gate, i64 2
  %first = load ptr, ptr %first.at
  %nobody = icmp eq ptr %first, null
  br i1 %nobody, label %no, label %ask
ask:
  %get = load ptr, ptr $PyContextVar_Get
  %status = call i32 %get(ptr %variable, ptr null, ptr %value.at)
  %value = load ptr, ptr %value.at
  %unset = icmp eq ptr %value, null
  br i1 %unset, label %unknown, label %known
unknown:
  %clear = load ptr, ptr $PyErr_Clear
  call void %clear()
  br label %no
known:
  %decref = load ptr, ptr $Py_DecRef
  call void %decref(ptr %value)
  br label %next
next:
  %i = phi i64 [0, %known], [%i.next, %other]
  %guest.at = getelementptr ptr, ptr %first.at, i64 %i
  %guest = load ptr, ptr %guest.at
  %same = icmp eq ptr %guest, %value
  br i1 %same, label %yes, label %other
other:
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, $GUESTS
  br i1 %more, label %next, label %no
yes:
  ret i1 true
no:
  ret i1 false
}

; Give back the references in a row that begins with their number.
define internal void @drop(ptr %row) nounwind {
start:
  %count = load i64, ptr %row
  %none = icmp eq i64 %count, 0
  br i1 %none, label %done, label %some
some:
  %decref = load ptr, ptr $Py_DecRef
  %items = getelementptr ptr, ptr %row, i64 1
  call void @each(ptr %decref, ptr %items, i64 %count)
  br label %done
done:
  ret void
}

; The path behind the guard at which a program was left, or null: for other codes, and where no such
; path is known. A path is a row of words: kernel, unlocked kernel, whether to release the GIL, how
; many guards there are, and for each of them the path behind it.
define internal ptr @path_behind(ptr %path, i64 %status) nounwind {
start:
  %alone = icmp eq ptr %path, null
  br i1 %alone, label %no, label %look
look:
  %place = sub i64 %status, $FIRST_GUARD
  %count.at = getelementptr i64, ptr %path, i64 $PATH_GUARDS
  %count = load i64, ptr %count.at
  %is.guard = icmp ult i64 %place, %count
  br i1 %is.guard, label %yes, label %no
yes:
  %others = getelementptr i64, ptr %path, i64 $PATH_OTHERS
  %other.at = getelementptr ptr, ptr %others, i64 %place
  %other = load atomic ptr, ptr %other.at monotonic, align 8
  ret ptr %other
no:
  ret ptr null
}

; Set the exception that a kernel has kept.
define internal void @raise() nounwind {
start:
  %function = load ptr, ptr $raise_kept
  %vectorcall = load ptr, ptr $PyObject_Vectorcall
  %nothing = call ptr %vectorcall(ptr %function, ptr null, i64 0, ptr null)
  ret void
}

; self._miss(*args, **kwargs), with the arguments of the call as they came.
define internal ptr @miss(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
start:
  %name = load ptr, ptr $_miss
  %get = load ptr, ptr $PyObject_GetAttr
  %method = call ptr %get(ptr %self, ptr %name)
  %failed = icmp eq ptr %method, null
  br i1 %failed, label %no, label %yes
yes:
  %vectorcall = load ptr, ptr $PyObject_Vectorcall
  %result = call ptr %vectorcall(ptr %method, ptr %args, i64 %nargsf, ptr %kwnames)
  %decref = load ptr, ptr $Py_DecRef
  call void %decref(ptr %method)
  ret ptr %result
no:
  ret ptr null
}

; Copy a row of words.
define internal void @copy(ptr %to, ptr %from, i64 %count) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %word]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %word, label %done
word:
  %from.at = getelementptr ptr, ptr %from, i64 %i
  %x = load ptr, ptr %from.at
  %to.at = getelementptr ptr, ptr %to, i64 %i
  store ptr %x, ptr %to.at
  %i.next = add i64 %i, 1
  br label %next
done:
  ret void
}

; Call Py_IncRef or Py_DecRef for each word of a row; both take null.
define internal void @each(ptr %function, ptr %items, i64 %count) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %word]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %word, label %done
word:
  %at = getelementptr ptr, ptr %items, i64 %i
  %x = load ptr, ptr %at
  call void %function(ptr %x)
  %i.next = add i64 %i, 1
  br label %next
done:
  ret void
}
