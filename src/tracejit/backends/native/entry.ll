; What runs when a callable is called: one interpreter of records, the same machine code for
; every signature.
;
; A record is a row of 64 bit words, written by entry.py, which says what they mean:
;
;     next record, header, keywords...     checks..., END     makes..., END     packs..., END
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
; none takes the call.
define ptr @call(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
start:
  %first.at = getelementptr i8, ptr %self, i64 $chain
  %first = load ptr, ptr %first.at
  br label %next
next:
  %record = phi ptr [%first, %start], [%following, %passed]
  %none = icmp eq ptr %record, null
  br i1 %none, label %missed, label %try
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

; The vectorcall function of a bound call, which has one record: next, kernel, result, place of
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
  %kernel = load ptr, ptr %kernel.at
  %place.at = getelementptr i64, ptr %record, i64 $BOUND_OUTPUTS
  %place = load i64, ptr %place.at
  %inputs = getelementptr i64, ptr %record, i64 $BOUND_HEADER
  %outputs = getelementptr i64, ptr %record, i64 %place
  %result.at = getelementptr i64, ptr %record, i64 $BOUND_RESULT
  %result = load ptr, ptr %result.at
  %status = call i64 %kernel(ptr %inputs, ptr %outputs)
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %done, label %missed
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
  %gate.at = getelementptr i64, ptr %record, i64 $GATE
  %gate = load ptr, ptr %gate.at
  %closed = load atomic i64, ptr %gate monotonic, align 8
  %open = icmp eq i64 %closed, 0
  br i1 %open, label %opened, label %no
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
  %objects.count.at = getelementptr i64, ptr %record, i64 $OBJECT_COUNT
  %objects.count = load i64, ptr %objects.count.at
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
  %makes = call ptr @check(ptr %checks, ptr %queue, ptr %tail, ptr %inputs, ptr %room)
  %differs = icmp eq ptr %makes, null
  br i1 %differs, label %no, label %make
make:
  call void @clear(ptr %objects, i64 %objects.count)
  %packs = call ptr @make(ptr %makes, ptr %objects, ptr %outputs, ptr %room)
  %unmade = icmp eq ptr %packs, null
  br i1 %unmade, label %fail, label %run
run:
  %kernel.at = getelementptr i64, ptr %record, i64 $KERNEL
  %kernel = load ptr, ptr %kernel.at
  %release.at = getelementptr i64, ptr %record, i64 $RELEASE
  %release = load i64, ptr %release.at
  %keep = icmp eq i64 %release, 0
  br i1 %keep, label %run.kept, label %run.released
run.kept:
  %status.kept = call i64 %kernel(ptr %inputs, ptr %outputs)
  br label %ran
run.released:
  %incref = load ptr, ptr $Py_IncRef
  call void @each(ptr %incref, ptr %queue, i64 %inputs.place)
  %save = load ptr, ptr $PyEval_SaveThread
  %thread = call ptr %save()
  %status.released = call i64 %kernel(ptr %inputs, ptr %outputs)
  %restore = load ptr, ptr $PyEval_RestoreThread
  call void %restore(ptr %thread)
  %drop = load ptr, ptr $Py_DecRef
  call void @each(ptr %drop, ptr %queue, i64 %inputs.place)
  br label %ran
ran:
  %status = phi i64 [%status.kept, %run.kept], [%status.released, %run.released]
  %fine = icmp eq i64 %status, 0
  br i1 %fine, label %pack, label %decline
pack:
  %packed = call i1 @pack(ptr %packs, ptr %objects, ptr %room)
  br i1 %packed, label %yes, label %fail
yes:
  %result = load ptr, ptr %objects
  ret ptr %result
decline:
  %decline.decref = load ptr, ptr $Py_DecRef
  call void @each(ptr %decline.decref, ptr %objects, i64 %objects.count)
  br label %no
no:
  ret ptr inttoptr (i64 1 to ptr)
fail:
  %fail.decref = load ptr, ptr $Py_DecRef
  call void @each(ptr %fail.decref, ptr %objects, i64 %objects.count)
  ret ptr null
}

; Run the checks from %pc on. Check n looks at word n of the queue; containers append their
; items at the tail. The place behind the checks, or null where one failed.
define internal ptr @check(ptr %start.pc, ptr %queue, ptr %start.tail, ptr %inputs, ptr %room)
    nounwind {
start:
  br label %step
step:
  %pc = phi ptr [%start.pc, %start], [%pc.next, %advance]
  %tail = phi ptr [%start.tail, %start], [%tail.next, %advance]
  %item = phi ptr [%queue, %start], [%item.next, %advance]
  %op = load i64, ptr %pc
  %a.at = getelementptr i64, ptr %pc, i64 1
  %b.at = getelementptr i64, ptr %pc, i64 2
  %c.at = getelementptr i64, ptr %pc, i64 3
  switch i64 %op, label %end [
    i64 $ARRAY, label %array i64 $BOXED, label %boxed i64 $INT, label %int i64 $BOOL, label %bool
    i64 $SAME, label %same i64 $EQUAL, label %equal
    i64 $TUPLE, label %tuple i64 $LIST, label %list i64 $DICT, label %dict
  ]
end:
  ret ptr %a.at

array:                                            ; input, descr, ndim, extents...
  %array.x = load ptr, ptr %item
  %array.place = load i64, ptr %a.at
  %array.input = getelementptr ptr, ptr %inputs, i64 %array.place
  %descr = load ptr, ptr %b.at
  %ndim = load i64, ptr %c.at
  %ndim32 = trunc i64 %ndim to i32
  %dims = getelementptr i64, ptr %pc, i64 4
  %array.ok = call i1 @array(ptr %array.x, ptr %descr, i32 %ndim32, ptr %dims, ptr %array.input)
  %array.next = getelementptr i64, ptr %dims, i64 %ndim
  br label %checked

boxed:                                            ; input, type, offset
  %boxed.x = load ptr, ptr %item
  %boxed.place = load i64, ptr %a.at
  %boxed.input = getelementptr ptr, ptr %inputs, i64 %boxed.place
  %type = load ptr, ptr %b.at
  %offset = load i64, ptr %c.at
  %boxed.ok = call i1 @boxed(ptr %boxed.x, ptr %type, i64 %offset, ptr %boxed.input)
  %boxed.next = getelementptr i64, ptr %pc, i64 4
  br label %checked

int:                                              ; input
  %int.x = load ptr, ptr %item
  %int.place = load i64, ptr %a.at
  %int.input = getelementptr ptr, ptr %inputs, i64 %int.place
  %int.room = getelementptr i64, ptr %room, i64 %int.place
  %int.ok = call i1 @int(ptr %int.x, ptr %int.room, ptr %int.input)
  br label %checked

bool:                                             ; input
  %bool.x = load ptr, ptr %item
  %bool.place = load i64, ptr %a.at
  %bool.input = getelementptr ptr, ptr %inputs, i64 %bool.place
  %bool.room = getelementptr i64, ptr %room, i64 %bool.place
  %bool.ok = call i1 @bool(ptr %bool.x, ptr %bool.room, ptr %bool.input)
  br label %checked

same:                                             ; object
  %same.x = load ptr, ptr %item
  %same.y = load ptr, ptr %a.at
  %same.ok = icmp eq ptr %same.x, %same.y
  br label %checked

equal:                                            ; object
  %equal.x = load ptr, ptr %item
  %equal.y = load ptr, ptr %a.at
  %equal.ok = call i1 @equal(ptr %equal.x, ptr %equal.y)
  br label %checked

checked:
  %ok = phi i1 [%array.ok, %array], [%boxed.ok, %boxed], [%int.ok, %int], [%bool.ok, %bool],
    [%same.ok, %same], [%equal.ok, %equal]
  %leaf.next = phi ptr [%array.next, %array], [%boxed.next, %boxed], [%b.at, %int],
    [%b.at, %bool], [%b.at, %same], [%b.at, %equal]
  br i1 %ok, label %advance, label %no

tuple:                                            ; count
  %tuple.x = load ptr, ptr %item
  %tuple.count = load i64, ptr %a.at
  %tuple.type = load ptr, ptr $tuple
  %tuple.items = getelementptr i8, ptr %tuple.x, i64 $tuple_items
  %tuple.ok = call i1 @sized(ptr %tuple.x, ptr %tuple.type, i64 %tuple.count)
  br i1 %tuple.ok, label %append, label %no

list:                                             ; count
  %list.x = load ptr, ptr %item
  %list.count = load i64, ptr %a.at
  %list.type = load ptr, ptr $list
  %list.ok = call i1 @sized(ptr %list.x, ptr %list.type, i64 %list.count)
  br i1 %list.ok, label %list.items, label %no
list.items:
  %list.items.at = getelementptr i8, ptr %list.x, i64 $list_items
  %list.row = load ptr, ptr %list.items.at
  br label %append

append:
  %count = phi i64 [%tuple.count, %tuple], [%list.count, %list.items]
  %items = phi ptr [%tuple.items, %tuple], [%list.row, %list.items]
  call void @copy(ptr %tail, ptr %items, i64 %count)
  %append.tail = getelementptr ptr, ptr %tail, i64 %count
  br label %advance

dict:                                             ; count, keys...
  %dict.x = load ptr, ptr %item
  %dict.count = load i64, ptr %a.at
  %dict.ok = call i1 @dict(ptr %dict.x, i64 %dict.count, ptr %b.at, ptr %tail)
  br i1 %dict.ok, label %dict.append, label %no
dict.append:
  %dict.tail = getelementptr ptr, ptr %tail, i64 %dict.count
  %dict.next = getelementptr i64, ptr %b.at, i64 %dict.count
  br label %advance

advance:
  %pc.next = phi ptr [%leaf.next, %checked], [%b.at, %append], [%dict.next, %dict.append]
  %tail.next = phi ptr [%tail, %checked], [%append.tail, %append], [%dict.tail, %dict.append]
  %item.next = getelementptr ptr, ptr %item, i64 1
  br label %step
no:
  ret ptr null
}

; Make what the kernel writes to, and the constants of the result. The place behind these steps,
; or null with an exception set.
define internal ptr @make(ptr %start.pc, ptr %objects, ptr %outputs, ptr %room) nounwind {
start:
  br label %step
step:
  %pc = phi ptr [%start.pc, %start], [%pc.next, %advance]
  %op = load i64, ptr %pc
  %object.at = getelementptr i64, ptr %pc, i64 1
  %object.place = load i64, ptr %object.at
  %object = getelementptr ptr, ptr %objects, i64 %object.place
  %a.at = getelementptr i64, ptr %pc, i64 2
  %b.at = getelementptr i64, ptr %pc, i64 3
  %c.at = getelementptr i64, ptr %pc, i64 4
  %d.at = getelementptr i64, ptr %pc, i64 5
  switch i64 %op, label %end [
    i64 $ARRAY, label %array i64 $BOXED, label %boxed
    i64 $BOOL, label %bool i64 $SAME, label %constant
  ]
end:
  ret ptr %object.at

array:                                            ; object, output, descr, ndim, extents...
  %array.place = load i64, ptr %a.at
  %array.output = getelementptr ptr, ptr %outputs, i64 %array.place
  %descr = load ptr, ptr %b.at
  %ndim = load i64, ptr %c.at
  %ndim32 = trunc i64 %ndim to i32
  %array.ok = call i1 @new(ptr %descr, i32 %ndim32, ptr %d.at, ptr %object, ptr %array.output)
  %array.next = getelementptr i64, ptr %d.at, i64 %ndim
  br i1 %array.ok, label %advance, label %no

boxed:                                            ; object, output, type, tp_alloc, offset
  %boxed.place = load i64, ptr %a.at
  %boxed.output = getelementptr ptr, ptr %outputs, i64 %boxed.place
  %type = load ptr, ptr %b.at
  %alloc = load ptr, ptr %c.at
  %offset = load i64, ptr %d.at
  %boxed.ok = call i1 @box(ptr %type, ptr %alloc, i64 %offset, ptr %object, ptr %boxed.output)
  %boxed.next = getelementptr i64, ptr %pc, i64 6
  br i1 %boxed.ok, label %advance, label %no

bool:                                             ; unused, output, room
  %bool.place = load i64, ptr %a.at
  %bool.output = getelementptr ptr, ptr %outputs, i64 %bool.place
  %bool.room.place = load i64, ptr %b.at
  %bool.room = getelementptr i64, ptr %room, i64 %bool.room.place
  store ptr %bool.room, ptr %bool.output
  br label %advance

constant:                                         ; object, pointer
  %value = load ptr, ptr %a.at
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %value)
  store ptr %value, ptr %object
  br label %advance

advance:
  %pc.next = phi ptr [%array.next, %array], [%boxed.next, %boxed], [%c.at, %bool],
    [%b.at, %constant]
  br label %step
no:
  ret ptr null
}

; Build what holds the outputs, inner containers first; false with an exception set.
define internal i1 @pack(ptr %start.pc, ptr %objects, ptr %room) nounwind {
start:
  br label %step
step:
  %pc = phi ptr [%start.pc, %start], [%pc.next, %made]
  %op = load i64, ptr %pc
  %object.at = getelementptr i64, ptr %pc, i64 1
  %object.place = load i64, ptr %object.at
  %object = getelementptr ptr, ptr %objects, i64 %object.place
  %a.at = getelementptr i64, ptr %pc, i64 2
  %b.at = getelementptr i64, ptr %pc, i64 3
  %c.at = getelementptr i64, ptr %pc, i64 4
  switch i64 %op, label %end [
    i64 $BOOL, label %bool i64 $TUPLE, label %tuple i64 $LIST, label %list i64 $DICT, label %dict
  ]
end:
  ret i1 true

bool:                                             ; object, room
  %room.place = load i64, ptr %a.at
  %byte.at = getelementptr i64, ptr %room, i64 %room.place
  %byte = load i8, ptr %byte.at
  %true = icmp ne i8 %byte, 0
  %one = load ptr, ptr $bool_True
  %zero = load ptr, ptr $bool_False
  %truth = select i1 %true, ptr %one, ptr %zero
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %truth)
  br label %made

tuple:                                            ; object, first item, count
  %tuple.place = load i64, ptr %a.at
  %tuple.items = getelementptr ptr, ptr %objects, i64 %tuple.place
  %tuple.count = load i64, ptr %b.at
  %tuple.x = call ptr @pack_tuple(ptr %tuple.items, i64 %tuple.count)
  br label %made

list:                                             ; object, first item, count
  %list.place = load i64, ptr %a.at
  %list.items = getelementptr ptr, ptr %objects, i64 %list.place
  %list.count = load i64, ptr %b.at
  %list.x = call ptr @pack_list(ptr %list.items, i64 %list.count)
  br label %made

dict:                                             ; object, first item, count, keys...
  %dict.place = load i64, ptr %a.at
  %dict.items = getelementptr ptr, ptr %objects, i64 %dict.place
  %dict.count = load i64, ptr %b.at
  %dict.x = call ptr @pack_dict(ptr %c.at, ptr %dict.items, i64 %dict.count)
  %dict.next = getelementptr i64, ptr %c.at, i64 %dict.count
  br label %made

made:
  %x = phi ptr [%truth, %bool], [%tuple.x, %tuple], [%list.x, %list], [%dict.x, %dict]
  %pc.next = phi ptr [%b.at, %bool], [%c.at, %tuple], [%c.at, %list], [%dict.next, %dict]
  store ptr %x, ptr %object
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %step
no:
  ret i1 false
}

; x is an ndarray of this dtype and shape, C-contiguous and aligned: its data pointer goes to
; %input. Another descriptor object will do (arrays that were pickled have one) when type number
; and byte order are the same.
define internal i1 @array(ptr %x, ptr %descr, i32 %ndim, ptr %dims, ptr %input) nounwind {
start:
  %type.at = getelementptr i8, ptr %x, i64 $ob_type
  %type = load ptr, ptr %type.at
  %ndarray = load ptr, ptr $ndarray
  %exact = icmp eq ptr %type, %ndarray
  br i1 %exact, label %typed, label %no
typed:
  %x.ndim.at = getelementptr i8, ptr %x, i64 $array_ndim
  %x.ndim = load i32, ptr %x.ndim.at
  %ranked = icmp eq i32 %x.ndim, %ndim
  %flags.at = getelementptr i8, ptr %x, i64 $array_flags
  %flags = load i32, ptr %flags.at
  %bits = and i32 %flags, $contiguous_aligned
  %dense = icmp eq i32 %bits, $contiguous_aligned
  %fit = and i1 %ranked, %dense
  br i1 %fit, label %described, label %no
described:
  %x.descr.at = getelementptr i8, ptr %x, i64 $array_descr
  %x.descr = load ptr, ptr %x.descr.at
  %same.descr = icmp eq ptr %x.descr, %descr
  br i1 %same.descr, label %sized, label %compare
compare:
  %x.number.at = getelementptr i8, ptr %x.descr, i64 $descr_number
  %x.number = load i32, ptr %x.number.at
  %number.at = getelementptr i8, ptr %descr, i64 $descr_number
  %number = load i32, ptr %number.at
  %same.number = icmp eq i32 %x.number, %number
  %x.order.at = getelementptr i8, ptr %x.descr, i64 $descr_byteorder
  %x.order = load i8, ptr %x.order.at
  %order.at = getelementptr i8, ptr %descr, i64 $descr_byteorder
  %order = load i8, ptr %order.at
  %same.order = icmp eq i8 %x.order, %order
  %alike = and i1 %same.number, %same.order
  br i1 %alike, label %sized, label %no
sized:
  %x.dims.at = getelementptr i8, ptr %x, i64 $array_dims
  %x.dims = load ptr, ptr %x.dims.at
  br label %axis
axis:
  %k = phi i32 [0, %sized], [%k.next, %extent]
  %left = icmp slt i32 %k, %ndim
  br i1 %left, label %extent, label %yes
extent:
  %x.dim.at = getelementptr i64, ptr %x.dims, i32 %k
  %x.dim = load i64, ptr %x.dim.at
  %dim.at = getelementptr i64, ptr %dims, i32 %k
  %dim = load i64, ptr %dim.at
  %same.dim = icmp eq i64 %x.dim, %dim
  %k.next = add i32 %k, 1
  br i1 %same.dim, label %axis, label %no
yes:
  %data.at = getelementptr i8, ptr %x, i64 $array_data
  %data = load ptr, ptr %data.at
  store ptr %data, ptr %input
  ret i1 true
no:
  ret i1 false
}

; x is exactly of the type, with its value at the offset: the address of the value goes to %input.
define internal i1 @boxed(ptr %x, ptr %type, i64 %offset, ptr %input) nounwind {
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %value = getelementptr i8, ptr %x, i64 %offset
  store ptr %value, ptr %input
  %exact = icmp eq ptr %x.type, %type
  ret i1 %exact
}

; x is exactly an int that fits an int64, which goes to %room, and its address to %input.
define internal i1 @int(ptr %x, ptr %room, ptr %input) nounwind {
start:
  %overflow = alloca i32
  %type.at = getelementptr i8, ptr %x, i64 $ob_type
  %type = load ptr, ptr %type.at
  %int = load ptr, ptr $int
  %exact = icmp eq ptr %type, %int
  br i1 %exact, label %convert, label %no
convert:
  %as.int64 = load ptr, ptr $PyLong_AsLongLongAndOverflow
  %value = call i64 %as.int64(ptr %x, ptr %overflow)
  store i64 %value, ptr %room
  store ptr %room, ptr %input
  %sign = load i32, ptr %overflow
  %fits = icmp eq i32 %sign, 0
  ret i1 %fits
no:
  ret i1 false
}

; x is True or False: a byte goes to %room, and its address to %input.
define internal i1 @bool(ptr %x, ptr %room, ptr %input) nounwind {
  %true = load ptr, ptr $True
  %false = load ptr, ptr $False
  %is.true = icmp eq ptr %x, %true
  %is.false = icmp eq ptr %x, %false
  %byte = zext i1 %is.true to i8
  store i8 %byte, ptr %room
  store ptr %room, ptr %input
  %either = or i1 %is.true, %is.false
  ret i1 %either
}

; x is y, or both are of one exact type (int, str or bytes) and equal.
define internal i1 @equal(ptr %x, ptr %y) nounwind {
start:
  %same = icmp eq ptr %x, %y
  br i1 %same, label %yes, label %typed
typed:
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %y.type.at = getelementptr i8, ptr %y, i64 $ob_type
  %y.type = load ptr, ptr %y.type.at
  %alike = icmp eq ptr %x.type, %y.type
  br i1 %alike, label %compare, label %no
compare:
  %compare.eq = load ptr, ptr $PyObject_RichCompareBool
  %answer = call i32 %compare.eq(ptr %x, ptr %y, i32 2)
  %equal = icmp eq i32 %answer, 1
  ret i1 %equal
yes:
  ret i1 true
no:
  ret i1 false
}

; x is exactly of the type (tuple or list), and has so many items.
define internal i1 @sized(ptr %x, ptr %type, i64 %count) nounwind {
start:
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %exact = icmp eq ptr %x.type, %type
  br i1 %exact, label %typed, label %no
typed:
  %size.at = getelementptr i8, ptr %x, i64 $var_size
  %size = load i64, ptr %size.at
  %same = icmp eq i64 %size, %count
  ret i1 %same
no:
  ret i1 false
}

; x is exactly a dict with these keys (all of one exact builtin type): its values go to %values
; in their order. In the first pass each key should be the very object expected at its place.
; Where one is not, all keys must at least be of the right type, so that the look-ups of the
; second pass run no Python code.
define internal i1 @dict(ptr %x, i64 %count, ptr %keys, ptr %values) nounwind {
start:
  %at = alloca i64
  %key.at = alloca ptr
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %dict = load ptr, ptr $dict
  %exact = icmp eq ptr %x.type, %dict
  br i1 %exact, label %typed, label %no
typed:
  %dict.size = load ptr, ptr $PyDict_Size
  %size = call i64 %dict.size(ptr %x)
  %same.size = icmp eq i64 %size, %count
  br i1 %same.size, label %counted, label %no
counted:
  %empty = icmp eq i64 %count, 0
  br i1 %empty, label %yes, label %first.pass
first.pass:
  %first = load ptr, ptr %keys
  %first.type.at = getelementptr i8, ptr %first, i64 $ob_type
  %key.type = load ptr, ptr %first.type.at
  %dict.next = load ptr, ptr $PyDict_Next
  store i64 0, ptr %at
  br label %item
item:
  %i = phi i64 [0, %first.pass], [%i.next, %continue]
  %ordered = phi i1 [true, %first.pass], [%ordered.next, %continue]
  %value.at = getelementptr ptr, ptr %values, i64 %i
  %found = call i32 %dict.next(ptr %x, ptr %at, ptr %key.at, ptr %value.at)
  %there = icmp ne i32 %found, 0
  br i1 %there, label %compare, label %no
compare:
  %x.key = load ptr, ptr %key.at
  %wanted.at = getelementptr ptr, ptr %keys, i64 %i
  %wanted = load ptr, ptr %wanted.at
  %same.key = icmp eq ptr %x.key, %wanted
  br i1 %same.key, label %continue, label %elsewhere
elsewhere:
  %x.key.type.at = getelementptr i8, ptr %x.key, i64 $ob_type
  %x.key.type = load ptr, ptr %x.key.type.at
  %same.type = icmp eq ptr %x.key.type, %key.type
  br i1 %same.type, label %continue, label %no
continue:
  %ordered.next = phi i1 [%ordered, %compare], [false, %elsewhere]
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %item, label %first.done
first.done:
  br i1 %ordered.next, label %yes, label %search
search:
  %get.item = load ptr, ptr $PyDict_GetItemWithError
  br label %look.up
look.up:
  %j = phi i64 [0, %search], [%j.next, %got]
  %key.j.at = getelementptr ptr, ptr %keys, i64 %j
  %key.j = load ptr, ptr %key.j.at
  %value.j = call ptr %get.item(ptr %x, ptr %key.j)
  %missing = icmp eq ptr %value.j, null
  br i1 %missing, label %absent, label %got
got:
  %value.j.at = getelementptr ptr, ptr %values, i64 %j
  store ptr %value.j, ptr %value.j.at
  %j.next = add i64 %j, 1
  %j.more = icmp slt i64 %j.next, %count
  br i1 %j.more, label %look.up, label %yes
absent:
  %clear = load ptr, ptr $PyErr_Clear
  call void %clear()
  br label %no
yes:
  ret i1 true
no:
  ret i1 false
}

; The place of the keyword among the names of a call, or -1. The guess is tried first, then
; identity, then equality.
define internal i64 @keyword(ptr %names, i64 %count, ptr %key, i64 %guess) nounwind {
start:
  %items = getelementptr i8, ptr %names, i64 $tuple_items
  %guessed.at = getelementptr ptr, ptr %items, i64 %guess
  %guessed = load ptr, ptr %guessed.at
  %lucky = icmp eq ptr %guessed, %key
  br i1 %lucky, label %found.guess, label %by.identity
found.guess:
  ret i64 %guess
by.identity:
  %i = phi i64 [0, %start], [%i.next, %differs]
  %name.at = getelementptr ptr, ptr %items, i64 %i
  %name = load ptr, ptr %name.at
  %same = icmp eq ptr %name, %key
  br i1 %same, label %found.i, label %differs
differs:
  %i.next = add i64 %i, 1
  %i.more = icmp slt i64 %i.next, %count
  br i1 %i.more, label %by.identity, label %spelled
found.i:
  ret i64 %i
spelled:
  %compare = load ptr, ptr $PyUnicode_Compare
  br label %by.text
by.text:
  %j = phi i64 [0, %spelled], [%j.next, %other]
  %text.at = getelementptr ptr, ptr %items, i64 %j
  %text = load ptr, ptr %text.at
  %order = call i32 %compare(ptr %text, ptr %key)
  %equal = icmp eq i32 %order, 0
  br i1 %equal, label %found.j, label %other
other:
  %j.next = add i64 %j, 1
  %j.more = icmp slt i64 %j.next, %count
  br i1 %j.more, label %by.text, label %none
found.j:
  ret i64 %j
none:
  ret i64 -1
}

; A fresh ndarray: the object goes to %object, its data pointer to %output.
define internal i1 @new(ptr %descr, i32 %ndim, ptr %dims, ptr %object, ptr %output) nounwind {
start:
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %descr)
  %ndarray = load ptr, ptr $ndarray
  %make = load ptr, ptr $PyArray_NewFromDescr
  %x = call ptr %make(
    ptr %ndarray, ptr %descr, i32 %ndim, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  store ptr %x, ptr %object
  %data.at = getelementptr i8, ptr %x, i64 $array_data
  %data = load ptr, ptr %data.at
  store ptr %data, ptr %output
  ret i1 true
no:
  ret i1 false
}

; A fresh scalar object by its type's allocator: the object goes to %object, the address of its
; value to %output.
define internal i1 @box(ptr %type, ptr %alloc, i64 %offset, ptr %object, ptr %output) nounwind {
start:
  %x = call ptr %alloc(ptr %type, i64 0)
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  store ptr %x, ptr %object
  %value = getelementptr i8, ptr %x, i64 %offset
  store ptr %value, ptr %output
  ret i1 true
no:
  ret i1 false
}

; A tuple of the items, whose references it takes over; the items' words become null.
define internal ptr @pack_tuple(ptr %items, i64 %count) nounwind {
start:
  %make = load ptr, ptr $PyTuple_New
  %x = call ptr %make(i64 %count)
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  %places = getelementptr i8, ptr %x, i64 $tuple_items
  call void @move(ptr %places, ptr %items, i64 %count)
  ret ptr %x
no:
  ret ptr null
}

; The same as a list.
define internal ptr @pack_list(ptr %items, i64 %count) nounwind {
start:
  %make = load ptr, ptr $PyList_New
  %x = call ptr %make(i64 %count)
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  %places.at = getelementptr i8, ptr %x, i64 $list_items
  %places = load ptr, ptr %places.at
  call void @move(ptr %places, ptr %items, i64 %count)
  ret ptr %x
no:
  ret ptr null
}

; A dict of the items under the keys.
define internal ptr @pack_dict(ptr %keys, ptr %items, i64 %count) nounwind {
start:
  %make = load ptr, ptr $PyDict_New
  %x = call ptr %make()
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %fill
fill:
  %set.item = load ptr, ptr $PyDict_SetItem
  %decref = load ptr, ptr $Py_DecRef
  br label %next
next:
  %i = phi i64 [0, %fill], [%i.next, %stored]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %store, label %yes
store:
  %key.at = getelementptr ptr, ptr %keys, i64 %i
  %key = load ptr, ptr %key.at
  %item.at = getelementptr ptr, ptr %items, i64 %i
  %item = load ptr, ptr %item.at
  %status = call i32 %set.item(ptr %x, ptr %key, ptr %item)
  %bad = icmp ne i32 %status, 0
  br i1 %bad, label %drop, label %stored
stored:
  store ptr null, ptr %item.at
  call void %decref(ptr %item)
  %i.next = add i64 %i, 1
  br label %next
drop:
  call void %decref(ptr %x)
  br label %no
yes:
  ret ptr %x
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

; Move references from one row of words to another; null stays behind.
define internal void @move(ptr %to, ptr %from, i64 %count) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %word]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %word, label %done
word:
  %from.at = getelementptr ptr, ptr %from, i64 %i
  %x = load ptr, ptr %from.at
  store ptr null, ptr %from.at
  %to.at = getelementptr ptr, ptr %to, i64 %i
  store ptr %x, ptr %to.at
  %i.next = add i64 %i, 1
  br label %next
done:
  ret void
}

; Set a row of words to null.
define internal void @clear(ptr %items, i64 %count) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %word]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %word, label %done
word:
  %at = getelementptr ptr, ptr %items, i64 %i
  store ptr null, ptr %at
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
