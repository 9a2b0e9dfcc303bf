; Checks: whether a call is of a record's signature, and where its data is.

; Whether a record may take a call, by the argument in which it differs from other records of the
; callable, an array or a constant; its check is at %step.
define internal i1 @likely(ptr %record, ptr %step, ptr %args, i64 %nargsf) nounwind {
start:
  %number.at = getelementptr i64, ptr %record, i64 $TELLING
  %number = load i64, ptr %number.at
  %count = and i64 %nargsf, 9223372036854775807
  %given = icmp slt i64 %number, %count
  br i1 %given, label %compare, label %no
compare:
  %x.at = getelementptr ptr, ptr %args, i64 %number
  %x = load ptr, ptr %x.at
  %op = load i64, ptr %step
  %is.array = icmp eq i64 %op, $ARRAY
  br i1 %is.array, label %array, label %constant
constant:
  %y.at = getelementptr i64, ptr %step, i64 1
  %y = load ptr, ptr %y.at
  %identical = icmp eq ptr %x, %y
  br i1 %identical, label %yes, label %other
other:
  %is.equal = icmp eq i64 %op, $EQUAL
  br i1 %is.equal, label %ask, label %no
ask:
  %equal = call i1 @equal(ptr %x, ptr %y)
  ret i1 %equal
array:
  %type.at = getelementptr i8, ptr %x, i64 $ob_type
  %type = load ptr, ptr %type.at
  %ndarray = load ptr, ptr $ndarray
  %exact = icmp eq ptr %type, %ndarray
  br i1 %exact, label %ranked, label %no
ranked:
  %ndim.at = getelementptr i64, ptr %step, i64 3
  %ndim = load i32, ptr %ndim.at
  %x.ndim.at = getelementptr i8, ptr %x, i64 $array_ndim
  %x.ndim = load i32, ptr %x.ndim.at
  %same.ndim = icmp eq i32 %x.ndim, %ndim
  br i1 %same.ndim, label %measure, label %no
measure:
  %dims = getelementptr i64, ptr %step, i64 4
  %x.dims.at = getelementptr i8, ptr %x, i64 $array_dims
  %x.dims = load ptr, ptr %x.dims.at
  br label %axis
axis:
  %k = phi i32 [0, %measure], [%k.next, %extent]
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
  ret i1 true
no:
  ret i1 false
}

; Run the checks from %pc on. Check n looks at word n of the queue; containers append their
; items at the tail. %ours is a row, its length first, of the references that the call owns: to
; copies of arrays, and values of attributes. The place behind the checks, or null where one failed.
define internal ptr @check(ptr %start.pc, ptr %queue, ptr %start.tail, ptr %inputs, ptr %room,
    ptr %ours) nounwind {
start:
  br label %step
step:
  %pc = phi ptr [%start.pc, %start], [%pc.next, %advance]
  %tail = phi ptr [%start.tail, %start], [%tail.next, %advance]
  %item = phi ptr [%queue, %start], [%item.next, %advance]
  %op = load i64, ptr %pc
  switch i64 %op, label %end [
    i64 $ARRAY, label %array i64 $BOXED, label %boxed i64 $INT, label %int i64 $BOOL, label %bool
    i64 $SAME, label %same i64 $EQUAL, label %equal
    i64 $TUPLE, label %tuple i64 $LIST, label %list i64 $DICT, label %dict
    i64 $OBJECT, label %object
  ]
end:
  %end.a = getelementptr i64, ptr %pc, i64 1
  ret ptr %end.a

array:                        ; input, descr, ndim and the flags that x must have, extents...
  %array.c = getelementptr i64, ptr %pc, i64 3
  %array.b = getelementptr i64, ptr %pc, i64 2
  %array.a = getelementptr i64, ptr %pc, i64 1
  %array.x = load ptr, ptr %item
  %array.place = load i64, ptr %array.a
  %array.input = getelementptr ptr, ptr %inputs, i64 %array.place
  %descr = load ptr, ptr %array.b
  %ndim.flags = load i64, ptr %array.c
  %ndim32 = trunc i64 %ndim.flags to i32
  %ndim = zext i32 %ndim32 to i64
  %needed = lshr i64 %ndim.flags, 32
  %needed32 = trunc i64 %needed to i32
  %dims = getelementptr i64, ptr %pc, i64 4
  %array.ok = call i1 @array(ptr %array.x, ptr %descr, i32 %ndim32, i32 %needed32, ptr %dims,
    ptr %array.input, ptr %ours)
  %array.next = getelementptr i64, ptr %dims, i64 %ndim
  br i1 %array.ok, label %advance, label %no

boxed:                         ; input, type, offset of the value, whose address goes to the input
  %boxed.c = getelementptr i64, ptr %pc, i64 3
  %boxed.b = getelementptr i64, ptr %pc, i64 2
  %boxed.a = getelementptr i64, ptr %pc, i64 1
  %boxed.x = load ptr, ptr %item
  %boxed.place = load i64, ptr %boxed.a
  %boxed.input = getelementptr ptr, ptr %inputs, i64 %boxed.place
  %type = load ptr, ptr %boxed.b
  %offset = load i64, ptr %boxed.c
  %boxed.x.type.at = getelementptr i8, ptr %boxed.x, i64 $ob_type
  %boxed.x.type = load ptr, ptr %boxed.x.type.at
  %boxed.value = getelementptr i8, ptr %boxed.x, i64 %offset
  store ptr %boxed.value, ptr %boxed.input
  %boxed.ok = icmp eq ptr %boxed.x.type, %type
  %boxed.next = getelementptr i64, ptr %pc, i64 4
  br i1 %boxed.ok, label %advance, label %no

int:                                              ; input
  %int.a = getelementptr i64, ptr %pc, i64 1
  %int.x = load ptr, ptr %item
  %int.place = load i64, ptr %int.a
  %int.input = getelementptr ptr, ptr %inputs, i64 %int.place
  %int.room = getelementptr i64, ptr %room, i64 %int.place
  %int.ok = call i1 @int(ptr %int.x, ptr %int.room, ptr %int.input)
  %int.next = getelementptr i64, ptr %pc, i64 2
  br label %checked

bool:                                             ; input
  %bool.a = getelementptr i64, ptr %pc, i64 1
  %bool.x = load ptr, ptr %item
  %bool.place = load i64, ptr %bool.a
  %bool.input = getelementptr ptr, ptr %inputs, i64 %bool.place
  %bool.room = getelementptr i64, ptr %room, i64 %bool.place
  %bool.ok = call i1 @bool(ptr %bool.x, ptr %bool.room, ptr %bool.input)
  %bool.next = getelementptr i64, ptr %pc, i64 2
  br label %checked

same:                                             ; object
  %same.a = getelementptr i64, ptr %pc, i64 1
  %same.x = load ptr, ptr %item
  %same.y = load ptr, ptr %same.a
  %same.ok = icmp eq ptr %same.x, %same.y
  %same.next = getelementptr i64, ptr %pc, i64 2
  br label %checked

equal:                                            ; object
  %equal.a = getelementptr i64, ptr %pc, i64 1
  %equal.x = load ptr, ptr %item
  %equal.y = load ptr, ptr %equal.a
  %equal.ok = call i1 @equal(ptr %equal.x, ptr %equal.y)
  %equal.next = getelementptr i64, ptr %pc, i64 2
  br label %checked

checked:
  %ok = phi i1 [%int.ok, %int], [%bool.ok, %bool], [%same.ok, %same], [%equal.ok, %equal]
  %leaf.next = phi ptr [%int.next, %int], [%bool.next, %bool], [%same.next, %same],
    [%equal.next, %equal]
  br i1 %ok, label %advance, label %no

tuple:                                            ; count, type
  %tuple.b = getelementptr i64, ptr %pc, i64 2
  %tuple.a = getelementptr i64, ptr %pc, i64 1
  %tuple.x = load ptr, ptr %item
  %tuple.count = load i64, ptr %tuple.a
  %tuple.type = load ptr, ptr %tuple.b
  %tuple.items = getelementptr i8, ptr %tuple.x, i64 $tuple_items
  %tuple.next = getelementptr i64, ptr %pc, i64 3
  %tuple.ok = call i1 @sized(ptr %tuple.x, ptr %tuple.type, i64 %tuple.count)
  br i1 %tuple.ok, label %append, label %no

list:                                             ; count
  %list.a = getelementptr i64, ptr %pc, i64 1
  %list.x = load ptr, ptr %item
  %list.count = load i64, ptr %list.a
  %list.type = load ptr, ptr $list
  %list.ok = call i1 @sized(ptr %list.x, ptr %list.type, i64 %list.count)
  br i1 %list.ok, label %list.items, label %no
list.items:
  %list.items.at = getelementptr i8, ptr %list.x, i64 $list_items
  %list.row = load ptr, ptr %list.items.at
  %list.next = getelementptr i64, ptr %pc, i64 2
  br label %append

append:
  %count = phi i64 [%tuple.count, %tuple], [%list.count, %list.items]
  %items = phi ptr [%tuple.items, %tuple], [%list.row, %list.items]
  %append.next = phi ptr [%tuple.next, %tuple], [%list.next, %list.items]
  call void @copy(ptr %tail, ptr %items, i64 %count)
  %append.tail = getelementptr ptr, ptr %tail, i64 %count
  br label %advance

dict:                                             ; count, keys...
  %dict.b = getelementptr i64, ptr %pc, i64 2
  %dict.a = getelementptr i64, ptr %pc, i64 1
  %dict.x = load ptr, ptr %item
  %dict.count = load i64, ptr %dict.a
  %dict.ok = call i1 @dict(ptr %dict.x, i64 %dict.count, ptr %dict.b, ptr %tail)
  br i1 %dict.ok, label %dict.append, label %no
dict.append:
  %dict.append.b = getelementptr i64, ptr %pc, i64 2
  %dict.tail = getelementptr ptr, ptr %tail, i64 %dict.count
  %dict.next = getelementptr i64, ptr %dict.append.b, i64 %dict.count
  br label %advance

object:                                           ; count, type, names...
  %object.b = getelementptr i64, ptr %pc, i64 2
  %object.a = getelementptr i64, ptr %pc, i64 1
  %object.x = load ptr, ptr %item
  %object.count = load i64, ptr %object.a
  %object.type = load ptr, ptr %object.b
  %object.type.at = getelementptr i8, ptr %object.x, i64 $ob_type
  %object.x.type = load ptr, ptr %object.type.at
  %object.exact = icmp eq ptr %object.x.type, %object.type
  br i1 %object.exact, label %object.items, label %no
object.items:
  %object.items.c = getelementptr i64, ptr %pc, i64 3
  %object.ok = call i1 @attributes(
    ptr %object.x, i64 %object.count, ptr %object.items.c, ptr %tail, ptr %ours)
  br i1 %object.ok, label %object.append, label %no
object.append:
  %object.append.c = getelementptr i64, ptr %pc, i64 3
  %object.tail = getelementptr ptr, ptr %tail, i64 %object.count
  %object.next = getelementptr i64, ptr %object.append.c, i64 %object.count
  br label %advance

advance:
  %pc.next = phi ptr [%leaf.next, %checked], [%append.next, %append], [%dict.next, %dict.append],
    [%object.next, %object.append], [%array.next, %array], [%boxed.next, %boxed]
  %tail.next = phi ptr [%tail, %checked], [%append.tail, %append], [%dict.tail, %dict.append],
    [%object.tail, %object.append], [%tail, %array], [%tail, %boxed]
  %item.next = getelementptr ptr, ptr %item, i64 1
  br label %step
no:
  ret ptr null
}

; x is an ndarray of this dtype and shape: its data pointer goes to %input, or that of a copy where
; it is not C-contiguous and aligned, unless it is needed as it is, with these flags. Another descriptor object will do (arrays that were pickled
; have one) when type number and byte order are the same.
define internal i1 @array(ptr %x, ptr %descr, i32 %ndim, i32 %needed, ptr %dims, ptr %input,
    ptr %ours) nounwind {
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
  br i1 %ranked, label %described, label %no
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
  br i1 %left, label %extent, label %fits
extent:
  %x.dim.at = getelementptr i64, ptr %x.dims, i32 %k
  %x.dim = load i64, ptr %x.dim.at
  %dim.at = getelementptr i64, ptr %dims, i32 %k
  %dim = load i64, ptr %dim.at
  %same.dim = icmp eq i64 %x.dim, %dim
  %k.next = add i32 %k, 1
  br i1 %same.dim, label %axis, label %no
fits:
  %flags.at = getelementptr i8, ptr %x, i64 $array_flags
  %flags = load i32, ptr %flags.at
  %has = and i32 %flags, %needed
  %has.all = icmp eq i32 %has, %needed
  br i1 %has.all, label %lying, label %no
lying:
  %bits = and i32 %flags, $contiguous_aligned
  %dense = icmp eq i32 %bits, $contiguous_aligned
  br i1 %dense, label %yes, label %scattered
scattered:
  %new.copy = load ptr, ptr $PyArray_NewCopy
  %copy = call ptr %new.copy(ptr %x, i32 0)
  %owned = call i1 @own(ptr %copy, ptr %ours)
  br i1 %owned, label %yes, label %no
yes:
  %dense.x = phi ptr [%x, %lying], [%copy, %scattered]
  %data.at = getelementptr i8, ptr %dense.x, i64 $array_data
  %data = load ptr, ptr %data.at
  store ptr %data, ptr %input
  ret i1 true
no:
  ret i1 false
}

; Note a reference that the call owns; false, and no exception, where there is none.
define internal i1 @own(ptr %x, ptr %ours) nounwind {
start:
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  %count = load i64, ptr %ours
  %count.next = add i64 %count, 1
  store i64 %count.next, ptr %ours
  %place = getelementptr ptr, ptr %ours, i64 %count.next
  store ptr %x, ptr %place
  ret i1 true
no:
  %clear = load ptr, ptr $PyErr_Clear
  call void %clear()
  ret i1 false
}

; The attributes of x, as object.__getattribute__ finds them.
define internal i1 @attributes(ptr %x, i64 %count, ptr %names, ptr %values, ptr %ours) nounwind {
start:
  %get = load ptr, ptr $PyObject_GenericGetAttr
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %found]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %one, label %yes
one:
  %name.at = getelementptr ptr, ptr %names, i64 %i
  %name = load ptr, ptr %name.at
  %y = call ptr %get(ptr %x, ptr %name)
  %owned = call i1 @own(ptr %y, ptr %ours)
  br i1 %owned, label %found, label %no
found:
  %to = getelementptr ptr, ptr %values, i64 %i
  store ptr %y, ptr %to
  %i.next = add i64 %i, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
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
