; Results: what a call returns, and what the kernel writes to.
;
; A record has two spares, in turn: results of earlier calls, to which it holds a reference. A
; spare to which nobody else has one is filled again, as far as it still is what was made; what
; somebody holds, or has changed, is made anew. So Python's zip uses its tuple again.
;
; The objects of a call are a row of words, one for each node of the result, siblings side by side:
;
;     null            nothing yet: a container that @pack builds
;     an address      a fresh object; the reference to it is ours
;     with bit 0 set  a part of the spare, held by the container in which it is (the spare itself:
;                     by the record)

; Choose or make what the kernel writes to, and the constants of the result, parents before
; children. %fresh gets a 1 where @pack has something to do, %known the number of words in the row
; of objects that mean something. The place behind these steps, or null with an exception set.
define internal ptr @make(ptr %start.pc, ptr %objects, ptr %outputs, ptr %room, ptr %fresh,
    ptr %known) nounwind {
start:
  br label %step
step:
  %pc = phi ptr [%start.pc, %start], [%pc.next, %advance]
  %op = load i64, ptr %pc
  %object.at = getelementptr i64, ptr %pc, i64 1
  %object.place = load i64, ptr %object.at
  %object = getelementptr ptr, ptr %objects, i64 %object.place
  switch i64 %op, label %end [
    i64 $ARRAY, label %array i64 $BOXED, label %boxed i64 $BOOL, label %bool
    i64 $SAME, label %constant i64 $TUPLE, label %container i64 $LIST, label %container
    i64 $DICT, label %container i64 $OBJECT, label %container
  ]
end:
  ret ptr %object.at

array:                              ; object, output, descr, flags, ndim, extents..., strides...
  %array.b = getelementptr i64, ptr %pc, i64 3
  %array.a = getelementptr i64, ptr %pc, i64 2
  %array.place = load i64, ptr %array.a
  %array.output = getelementptr ptr, ptr %outputs, i64 %array.place
  %array.next = call ptr @make_array(ptr %array.b, ptr %object, ptr %array.output, ptr %fresh)
  %array.ok = icmp ne ptr %array.next, null
  br i1 %array.ok, label %advance, label %no

boxed:                                            ; object, output, type, tp_alloc, offset
  %boxed.b = getelementptr i64, ptr %pc, i64 3
  %boxed.a = getelementptr i64, ptr %pc, i64 2
  %boxed.place = load i64, ptr %boxed.a
  %boxed.output = getelementptr ptr, ptr %outputs, i64 %boxed.place
  %boxed.next = call ptr @make_boxed(ptr %boxed.b, ptr %object, ptr %boxed.output, ptr %fresh)
  %boxed.ok = icmp ne ptr %boxed.next, null
  br i1 %boxed.ok, label %advance, label %no

bool:                                             ; object, output, room
  %bool.b = getelementptr i64, ptr %pc, i64 3
  %bool.a = getelementptr i64, ptr %pc, i64 2
  %bool.place = load i64, ptr %bool.a
  %bool.output = getelementptr ptr, ptr %outputs, i64 %bool.place
  %bool.room.place = load i64, ptr %bool.b
  %bool.room = getelementptr i64, ptr %room, i64 %bool.room.place
  store ptr %bool.room, ptr %bool.output
  store i64 1, ptr %fresh
  %bool.next = getelementptr i64, ptr %pc, i64 4
  br label %advance

constant:                                         ; object, pointer
  %constant.a = getelementptr i64, ptr %pc, i64 2
  %value = load ptr, ptr %constant.a
  %changed = call i1 @put(ptr %value, ptr %object)
  %constant.next = getelementptr i64, ptr %pc, i64 3
  br i1 %changed, label %constant.new, label %advance
constant.new:
  store i64 1, ptr %fresh
  br label %advance

container:   ; object, first item, count, then type, tp_alloc   keys...   or type, tp_new, names...
  %container.a = getelementptr i64, ptr %pc, i64 2
  %first = load i64, ptr %container.a
  %items = getelementptr ptr, ptr %objects, i64 %first
  %container.b = getelementptr i64, ptr %pc, i64 3
  %count = load i64, ptr %container.b
  %known.next = add i64 %first, %count
  store i64 %known.next, ptr %known
  %about = getelementptr i64, ptr %pc, i64 4
  %is.dict = icmp eq i64 %op, $DICT
  %is.instance = icmp eq i64 %op, $OBJECT
  %is.named = or i1 %is.dict, %is.instance
  %types = select i1 %is.dict, i64 0, i64 2
  %names = select i1 %is.named, i64 %count, i64 0
  %words = add i64 %types, %names
  %container.next = getelementptr i64, ptr %about, i64 %words
  %tagged = load ptr, ptr %object
  %whole = call i1 @take_items(i64 %op, ptr %tagged, ptr %about, ptr %items, i64 %count)
  br i1 %whole, label %advance, label %container.new
container.new:
  call void @clear(ptr %items, i64 %count)
  store ptr null, ptr %object
  store i64 1, ptr %fresh
  br label %advance

advance:
  %pc.next = phi ptr [%array.next, %array], [%boxed.next, %boxed], [%bool.next, %bool],
    [%constant.next, %constant], [%constant.next, %constant.new], [%container.next, %container],
    [%container.next, %container.new]
  br label %step
no:
  ret ptr null
}

; The spare array, if nobody else has it and it is as it was made, or a fresh one. The rest of the
; step is at %step: descr, flags, ndim, extents..., strides... The place behind it, or null with an
; exception set.
define internal ptr @make_array(ptr %step, ptr %object, ptr %output, ptr %fresh) nounwind {
start:
  %descr = load ptr, ptr %step
  %flags.at = getelementptr i64, ptr %step, i64 1
  %flags = load i32, ptr %flags.at
  %ndim.at = getelementptr i64, ptr %step, i64 2
  %ndim = load i64, ptr %ndim.at
  %ndim32 = trunc i64 %ndim to i32
  %dims = getelementptr i64, ptr %step, i64 3
  %strides = getelementptr i64, ptr %dims, i64 %ndim
  %behind = getelementptr i64, ptr %strides, i64 %ndim
  %tagged = load ptr, ptr %object
  %ndarray = load ptr, ptr $ndarray
  %x = call ptr @alone(ptr %tagged, ptr %ndarray)
  %found = icmp ne ptr %x, null
  br i1 %found, label %look, label %new
look:
  %x.descr.at = getelementptr i8, ptr %x, i64 $array_descr
  %x.descr = load ptr, ptr %x.descr.at
  %same.descr = icmp eq ptr %x.descr, %descr
  %x.flags.at = getelementptr i8, ptr %x, i64 $array_flags
  %x.flags = load i32, ptr %x.flags.at
  %same.flags = icmp eq i32 %x.flags, %flags
  %x.ndim.at = getelementptr i8, ptr %x, i64 $array_ndim
  %x.ndim = load i32, ptr %x.ndim.at
  %same.ndim = icmp eq i32 %x.ndim, %ndim32
  %x.weak.at = getelementptr i8, ptr %x, i64 $array_weakrefs
  %x.weak = load ptr, ptr %x.weak.at
  %unwatched = icmp eq ptr %x.weak, null
  %same.type = and i1 %same.descr, %same.flags
  %same.kind = and i1 %same.type, %same.ndim
  %untouched = and i1 %same.kind, %unwatched
  br i1 %untouched, label %measure, label %new
measure:
  %x.dims.at = getelementptr i8, ptr %x, i64 $array_dims
  %x.dims = load ptr, ptr %x.dims.at
  %x.strides.at = getelementptr i8, ptr %x, i64 $array_strides
  %x.strides = load ptr, ptr %x.strides.at
  br label %axis
axis:
  %k = phi i64 [0, %measure], [%k.next, %extent]
  %left = icmp slt i64 %k, %ndim
  br i1 %left, label %extent, label %again
extent:
  %x.dim.at = getelementptr i64, ptr %x.dims, i64 %k
  %x.dim = load i64, ptr %x.dim.at
  %dim.at = getelementptr i64, ptr %dims, i64 %k
  %dim = load i64, ptr %dim.at
  %same.dim = icmp eq i64 %x.dim, %dim
  %x.stride.at = getelementptr i64, ptr %x.strides, i64 %k
  %x.stride = load i64, ptr %x.stride.at
  %stride.at = getelementptr i64, ptr %strides, i64 %k
  %stride = load i64, ptr %stride.at
  %same.stride = icmp eq i64 %x.stride, %stride
  %same = and i1 %same.dim, %same.stride
  %k.next = add i64 %k, 1
  br i1 %same, label %axis, label %new
again:
  %data.at = getelementptr i8, ptr %x, i64 $array_data
  %data = load ptr, ptr %data.at
  store ptr %data, ptr %output
  ret ptr %behind
new:
  store i64 1, ptr %fresh
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %descr)
  %make = load ptr, ptr $PyArray_NewFromDescr
  %y = call ptr %make(
    ptr %ndarray, ptr %descr, i32 %ndim32, ptr %dims, ptr null, ptr null, i32 0, ptr null)
  %failed = icmp eq ptr %y, null
  br i1 %failed, label %no, label %made
made:
  store ptr %y, ptr %object
  %y.data.at = getelementptr i8, ptr %y, i64 $array_data
  %y.data = load ptr, ptr %y.data.at
  store ptr %y.data, ptr %output
  ret ptr %behind
no:
  ret ptr null
}

; The same for a scalar object; the rest of the step: type, tp_alloc, offset.
define internal ptr @make_boxed(ptr %step, ptr %object, ptr %output, ptr %fresh) nounwind {
start:
  %type = load ptr, ptr %step
  %offset.at = getelementptr i64, ptr %step, i64 2
  %offset = load i64, ptr %offset.at
  %behind = getelementptr i64, ptr %step, i64 3
  %tagged = load ptr, ptr %object
  %none = icmp eq ptr %tagged, null
  br i1 %none, label %new, label %look
look:
  %x = getelementptr i8, ptr %tagged, i64 -1
  %references.at = getelementptr i8, ptr %x, i64 $ob_refcnt
  %references = load i64, ptr %references.at
  %alone = icmp eq i64 %references, 1
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %exact = icmp eq ptr %x.type, %type
  %fit = and i1 %alone, %exact
  br i1 %fit, label %again, label %new
again:
  %value = getelementptr i8, ptr %x, i64 %offset
  store ptr %value, ptr %output
  ret ptr %behind
new:
  store i64 1, ptr %fresh
  %alloc.at = getelementptr i64, ptr %step, i64 1
  %alloc = load ptr, ptr %alloc.at
  %y = call ptr %alloc(ptr %type, i64 0)
  %failed = icmp eq ptr %y, null
  br i1 %failed, label %no, label %made
made:
  store ptr %y, ptr %object
  %y.value = getelementptr i8, ptr %y, i64 %offset
  store ptr %y.value, ptr %output
  ret ptr %behind
no:
  ret ptr null
}

; The object of a tagged word, if it is exactly of the type and there is one reference to it.
define internal ptr @alone(ptr %tagged, ptr %type) nounwind {
start:
  %none = icmp eq ptr %tagged, null
  br i1 %none, label %no, label %look
look:
  %x = getelementptr i8, ptr %tagged, i64 -1
  %references.at = getelementptr i8, ptr %x, i64 $ob_refcnt
  %references = load i64, ptr %references.at
  %one = icmp eq i64 %references, 1
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %exact = icmp eq ptr %x.type, %type
  %fit = and i1 %one, %exact
  br i1 %fit, label %yes, label %no
yes:
  ret ptr %x
no:
  ret ptr null
}

; Put a shared object in its place: false where the spare has it there.
define internal i1 @put(ptr %x, ptr %object) nounwind {
start:
  %tagged = load ptr, ptr %object
  %x.tagged = getelementptr i8, ptr %x, i64 1
  %same = icmp eq ptr %tagged, %x.tagged
  br i1 %same, label %there, label %new
there:
  ret i1 false
new:
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %x)
  store ptr %x, ptr %object
  ret i1 true
}

; The items of a container that is a part of the spare, tagged; false where it cannot be used again.
; %about: its type, or the keys of a dict.
define internal i1 @take_items(i64 %op, ptr %tagged, ptr %about, ptr %items, i64 %count) nounwind {
start:
  switch i64 %op, label %sequence [i64 $DICT, label %dict i64 $OBJECT, label %no]
sequence:
  %type = load ptr, ptr %about
  %x = call ptr @alone(ptr %tagged, ptr %type)
  %found = icmp ne ptr %x, null
  br i1 %found, label %measure, label %no
measure:
  %size.at = getelementptr i8, ptr %x, i64 $var_size
  %size = load i64, ptr %size.at
  %same.size = icmp eq i64 %size, %count
  br i1 %same.size, label %open, label %no
open:
  %row = call ptr @row(i64 %op, ptr %x)
  %is.tuple = icmp eq i64 %op, $TUPLE
  %has.hash = icmp ne i64 $tuple_hash, 0
  %hashed = and i1 %is.tuple, %has.hash
  br i1 %hashed, label %rehash, label %next
rehash:
  %hash.at = getelementptr i8, ptr %x, i64 $tuple_hash
  store i64 -1, ptr %hash.at
  br label %next
next:
  %i = phi i64 [0, %open], [0, %rehash], [%i.next, %item]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %yes
item:
  %item.at = getelementptr ptr, ptr %row, i64 %i
  %y = load ptr, ptr %item.at
  %y.tagged = getelementptr i8, ptr %y, i64 1
  %to = getelementptr ptr, ptr %items, i64 %i
  store ptr %y.tagged, ptr %to
  %i.next = add i64 %i, 1
  br label %next
dict:
  %dict.type = load ptr, ptr $dict
  %d = call ptr @alone(ptr %tagged, ptr %dict.type)
  %d.found = icmp ne ptr %d, null
  br i1 %d.found, label %dict.items, label %no
dict.items:
  %all = call i1 @take_values(ptr %d, ptr %about, ptr %items, i64 %count)
  ret i1 %all
yes:
  ret i1 true
no:
  ret i1 false
}

; The same for a dict, whose keys must be the very objects that are expected, in their order.
define internal i1 @take_values(ptr %x, ptr %keys, ptr %items, i64 %count) nounwind {
start:
  %at = alloca i64
  %key.at = alloca ptr
  %value.at = alloca ptr
  store i64 0, ptr %at
  %dict.size = load ptr, ptr $PyDict_Size
  %size = call i64 %dict.size(ptr %x)
  %same.size = icmp eq i64 %size, %count
  br i1 %same.size, label %begin, label %no
begin:
  %dict.next = load ptr, ptr $PyDict_Next
  br label %next
next:
  %i = phi i64 [0, %begin], [%i.next, %take]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %yes
item:
  %found = call i32 %dict.next(ptr %x, ptr %at, ptr %key.at, ptr %value.at)
  %key = load ptr, ptr %key.at
  %wanted.at = getelementptr ptr, ptr %keys, i64 %i
  %wanted = load ptr, ptr %wanted.at
  %same.key = icmp eq ptr %key, %wanted
  br i1 %same.key, label %take, label %no
take:
  %value = load ptr, ptr %value.at
  %value.tagged = getelementptr i8, ptr %value, i64 1
  %to = getelementptr ptr, ptr %items, i64 %i
  store ptr %value.tagged, ptr %to
  %i.next = add i64 %i, 1
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

; Where a tuple or a list has its items.
define internal ptr @row(i64 %op, ptr %x) nounwind {
  %inside = getelementptr i8, ptr %x, i64 $tuple_items
  %row.at = getelementptr i8, ptr %x, i64 $list_items
  %is.list = icmp eq i64 %op, $LIST
  %at = select i1 %is.list, ptr %row.at, ptr %inside
  %outside = load ptr, ptr %at
  %row = select i1 %is.list, ptr %outside, ptr %inside
  ret ptr %row
}

; Build what holds the outputs, inner containers first, and put what is fresh into what is not;
; false with an exception set.
define internal i1 @pack(ptr %start.pc, ptr %objects, ptr %room) nounwind {
start:
  br label %step
step:
  %pc = phi ptr [%start.pc, %start], [%bool.next, %bool], [%pc.next, %packed]
  %op = load i64, ptr %pc
  %object.at = getelementptr i64, ptr %pc, i64 1
  %object.place = load i64, ptr %object.at
  %object = getelementptr ptr, ptr %objects, i64 %object.place
  switch i64 %op, label %end [
    i64 $BOOL, label %bool i64 $TUPLE, label %container i64 $LIST, label %container
    i64 $DICT, label %container i64 $OBJECT, label %container
  ]
end:
  ret i1 true

bool:                                             ; object, room
  %bool.a = getelementptr i64, ptr %pc, i64 2
  %room.place = load i64, ptr %bool.a
  %byte.at = getelementptr i64, ptr %room, i64 %room.place
  %byte = load i8, ptr %byte.at
  %true = icmp ne i8 %byte, 0
  %one = load ptr, ptr $bool_True
  %zero = load ptr, ptr $bool_False
  %truth = select i1 %true, ptr %one, ptr %zero
  %changed = call i1 @put(ptr %truth, ptr %object)
  %bool.next = getelementptr i64, ptr %pc, i64 3
  br label %step

container:   ; object, first item, count, then type, tp_alloc   keys...   or type, tp_new, names...
  %container.b = getelementptr i64, ptr %pc, i64 3
  %container.a = getelementptr i64, ptr %pc, i64 2
  %first = load i64, ptr %container.a
  %items = getelementptr ptr, ptr %objects, i64 %first
  %count = load i64, ptr %container.b
  switch i64 %op, label %sequence [i64 $DICT, label %dict i64 $OBJECT, label %instance]
sequence:
  %sequence.c = getelementptr i64, ptr %pc, i64 4
  %sequence.ok = call i1 @fill(i64 %op, ptr %object, ptr %sequence.c, ptr %items, i64 %count)
  br label %packed
dict:
  %dict.c = getelementptr i64, ptr %pc, i64 4
  %dict.ok = call i1 @fill_dict(ptr %object, ptr %dict.c, ptr %items, i64 %count)
  br label %packed
instance:
  %instance.c = getelementptr i64, ptr %pc, i64 4
  %instance.ok = call i1 @fill_instance(ptr %object, ptr %instance.c, ptr %items, i64 %count)
  %instance.words = add i64 %count, 2
  br label %packed
packed:
  %ok = phi i1 [%sequence.ok, %sequence], [%dict.ok, %dict], [%instance.ok, %instance]
  %beyond = phi i64 [2, %sequence], [%count, %dict], [%instance.words, %instance]
  %packed.c = getelementptr i64, ptr %pc, i64 4
  %pc.next = getelementptr i64, ptr %packed.c, i64 %beyond
  br i1 %ok, label %step, label %no
no:
  ret i1 false
}

; Fresh items go into the tuple or list in this place, which is made where there is none, with
; their references; their words become null.
define internal i1 @fill(i64 %op, ptr %object, ptr %about, ptr %items, i64 %count) nounwind {
start:
  %decref = load ptr, ptr $Py_DecRef
  %known = load ptr, ptr %object
  %none = icmp eq ptr %known, null
  br i1 %none, label %new, label %old
old:
  %x = getelementptr i8, ptr %known, i64 -1
  br label %open
new:
  %made = call ptr @new_sequence(i64 %op, ptr %about, i64 %count)
  store ptr %made, ptr %object
  %failed = icmp eq ptr %made, null
  br i1 %failed, label %no, label %open
open:
  %sequence = phi ptr [%x, %old], [%made, %new]
  %row = call ptr @row(i64 %op, ptr %sequence)
  br label %next
next:
  %i = phi i64 [0, %open], [%i.next, %done]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %yes
item:
  %i.next = add i64 %i, 1
  %from = getelementptr ptr, ptr %items, i64 %i
  %y = load ptr, ptr %from
  %fresh = call i1 @is_fresh(ptr %y)
  br i1 %fresh, label %move, label %done
move:
  store ptr null, ptr %from
  %to = getelementptr ptr, ptr %row, i64 %i
  %before = load ptr, ptr %to
  store ptr %y, ptr %to
  call void %decref(ptr %before)
  br label %done
done:
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

; A tuple, a tuple of another type, or a list, its items null.
define internal ptr @new_sequence(i64 %op, ptr %about, i64 %count) nounwind {
start:
  %is.list = icmp eq i64 %op, $LIST
  br i1 %is.list, label %list, label %tuple
list:
  %new.list = load ptr, ptr $PyList_New
  %x = call ptr %new.list(i64 %count)
  ret ptr %x
tuple:
  %alloc.at = getelementptr i64, ptr %about, i64 1
  %alloc = load ptr, ptr %alloc.at
  %plain = icmp eq ptr %alloc, null
  br i1 %plain, label %exact, label %named
exact:
  %new.tuple = load ptr, ptr $PyTuple_New
  %y = call ptr %new.tuple(i64 %count)
  ret ptr %y
named:
  %type = load ptr, ptr %about
  %z = call ptr %alloc(ptr %type, i64 %count)
  ret ptr %z
}

; The same for a dict.
define internal i1 @fill_dict(ptr %object, ptr %keys, ptr %items, i64 %count) nounwind {
start:
  %known = load ptr, ptr %object
  %none = icmp eq ptr %known, null
  br i1 %none, label %new, label %old
old:
  %x = getelementptr i8, ptr %known, i64 -1
  br label %open
new:
  %new.dict = load ptr, ptr $PyDict_New
  %made = call ptr %new.dict()
  store ptr %made, ptr %object
  %failed = icmp eq ptr %made, null
  br i1 %failed, label %no, label %open
open:
  %dict = phi ptr [%x, %old], [%made, %new]
  %set.item = load ptr, ptr $PyDict_SetItem
  %decref = load ptr, ptr $Py_DecRef
  br label %next
next:
  %i = phi i64 [0, %open], [%i.next, %done]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %yes
item:
  %i.next = add i64 %i, 1
  %from = getelementptr ptr, ptr %items, i64 %i
  %y = load ptr, ptr %from
  %fresh = call i1 @is_fresh(ptr %y)
  br i1 %fresh, label %store, label %done
store:
  %key.at = getelementptr ptr, ptr %keys, i64 %i
  %key = load ptr, ptr %key.at
  %status = call i32 %set.item(ptr %dict, ptr %key, ptr %y)
  %bad = icmp ne i32 %status, 0
  br i1 %bad, label %no, label %stored
stored:
  store ptr null, ptr %from
  call void %decref(ptr %y)
  br label %done
done:
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

; A fresh instance of a class, made by object.__new__, with the items as its attributes; about it:
; its type, tp_new, names of the attributes.
define internal i1 @fill_instance(ptr %object, ptr %about, ptr %items, i64 %count) nounwind {
start:
  %type = load ptr, ptr %about
  %new.at = getelementptr i64, ptr %about, i64 1
  %new = load ptr, ptr %new.at
  %names = getelementptr i64, ptr %about, i64 2
  %no.arguments = load ptr, ptr $empty
  %x = call ptr %new(ptr %type, ptr %no.arguments, ptr null)
  store ptr %x, ptr %object
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %open
open:
  %set = load ptr, ptr $PyObject_GenericSetAttr
  %decref = load ptr, ptr $Py_DecRef
  br label %next
next:
  %i = phi i64 [0, %open], [%i.next, %stored]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %yes
item:
  %i.next = add i64 %i, 1
  %from = getelementptr ptr, ptr %items, i64 %i
  %y = load ptr, ptr %from
  %name.at = getelementptr ptr, ptr %names, i64 %i
  %name = load ptr, ptr %name.at
  %status = call i32 %set(ptr %x, ptr %name, ptr %y)
  %bad = icmp ne i32 %status, 0
  br i1 %bad, label %no, label %stored
stored:
  store ptr null, ptr %from
  call void %decref(ptr %y)
  br label %next
yes:
  ret i1 true
no:
  ret i1 false
}

; Whether a word is the address of an object of ours.
define internal i1 @is_fresh(ptr %word) nounwind {
  %bits = ptrtoint ptr %word to i64
  %tag = and i64 %bits, 1
  %untagged = icmp eq i64 %tag, 0
  %some = icmp ne i64 %bits, 0
  %fresh = and i1 %untagged, %some
  ret i1 %fresh
}

; The spare whose turn it is, tagged, or null where the record keeps none.
define internal ptr @spare(ptr %record) nounwind {
start:
  %turn.at = getelementptr i64, ptr %record, i64 $TURN
  %turn = load i64, ptr %turn.at
  %other = xor i64 %turn, 1
  store i64 %other, ptr %turn.at
  %row.at = getelementptr i64, ptr %record, i64 $SPARES
  %row = load ptr, ptr %row.at
  %none = icmp eq ptr %row, null
  br i1 %none, label %no, label %some
some:
  %slot = getelementptr ptr, ptr %row, i64 %other
  %x = load ptr, ptr %slot
  %tagged = getelementptr i8, ptr %x, i64 1
  ret ptr %tagged
no:
  ret ptr null
}

; A fresh result takes the place of the spare that was of no use: that one's end may run Python
; code, and so may not come before the kernel has run.
define internal void @keep(ptr %record, ptr %result) nounwind {
start:
  %row.at = getelementptr i64, ptr %record, i64 $SPARES
  %row = load ptr, ptr %row.at
  %none = icmp eq ptr %row, null
  br i1 %none, label %done, label %keep
keep:
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %result)
  %turn.at = getelementptr i64, ptr %record, i64 $TURN
  %turn = load i64, ptr %turn.at
  %slot = getelementptr ptr, ptr %row, i64 %turn
  %before = load ptr, ptr %slot
  store ptr %result, ptr %slot
  %decref = load ptr, ptr $Py_DecRef
  call void %decref(ptr %before)
  br label %done
done:
  ret void
}

; Give up what is fresh in the row of objects, and what was held.
define internal void @give_up(ptr %objects, ptr %known) nounwind {
start:
  %count = load i64, ptr %known
  %decref = load ptr, ptr $Py_DecRef
  %root = load ptr, ptr %objects
  %bits = ptrtoint ptr %root to i64
  %tag = and i64 %bits, 1
  %held = icmp ne i64 %tag, 0
  br i1 %held, label %release, label %next
release:
  %spare = getelementptr i8, ptr %root, i64 -1
  call void %decref(ptr %spare)
  br label %next
next:
  %i = phi i64 [0, %start], [0, %release], [%i.next, %done]
  %more = icmp slt i64 %i, %count
  br i1 %more, label %item, label %end
item:
  %i.next = add i64 %i, 1
  %at = getelementptr ptr, ptr %objects, i64 %i
  %x = load ptr, ptr %at
  %fresh = call i1 @is_fresh(ptr %x)
  br i1 %fresh, label %drop, label %done
drop:
  call void %decref(ptr %x)
  br label %done
done:
  br label %next
end:
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
