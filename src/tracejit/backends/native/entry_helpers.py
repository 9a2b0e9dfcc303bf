"""LLVM text of the functions that native entries call; an entry's module holds those that it uses, under its own prefix.

Two kinds of placeholders, resolved by `entry.py`: `@.name` is the helper `name` (and asks for it to be included), `$name` is a
byte offset of `abi.Layout`, or else the place in the entry's table where the pointer of that name is found.

Helpers are calls, not inlined: an entry with hundreds of leaves stays small and compiles in no time, and a call costs about
a nanosecond. Those that check return i1, false for "not this signature", and raise nothing. Those that make objects
return false or null with a Python exception set.
"""

from __future__ import annotations

from collections.abc import Mapping

_CHECKS = {
    "array": """
; x is an ndarray of this dtype and shape, C-contiguous and aligned: its data pointer goes to %input.
; Another descriptor object will do (arrays that were pickled have one) when type number and byte order are the same.
define internal i1 @.array(ptr %x, ptr %descr, i32 %ndim, ptr %dims, ptr %input) nounwind {
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
""",
    "boxed": """
; x is exactly of the type, with its value at the offset: the address of the value goes to %input.
define internal i1 @.boxed(ptr %x, ptr %type, i64 %offset, ptr %input) nounwind {
  %x.type.at = getelementptr i8, ptr %x, i64 $ob_type
  %x.type = load ptr, ptr %x.type.at
  %value = getelementptr i8, ptr %x, i64 %offset
  store ptr %value, ptr %input
  %exact = icmp eq ptr %x.type, %type
  ret i1 %exact
}
""",
    "int": """
; x is exactly an int that fits an int64, which goes to %room, and its address to %input.
define internal i1 @.int(ptr %x, ptr %room, ptr %input) nounwind {
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
""",
    "bool": """
; x is True or False: a byte goes to %room, and its address to %input.
define internal i1 @.bool(ptr %x, ptr %room, ptr %input) nounwind {
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
""",
    "sized": """
; x is exactly of the type (tuple or list), and has so many items.
define internal i1 @.sized(ptr %x, ptr %type, i64 %count) nounwind {
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
""",
    "equal": """
; x is y, or both are of one exact type (int, str or bytes) and equal.
define internal i1 @.equal(ptr %x, ptr %y) nounwind {
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
""",
    "dict": """
; x is exactly a dict with these keys (at least one, all of one exact builtin type): its values go to %values in their order.
; In the first pass each key should be the very object expected at its place. Where one is not, all keys must at least be of
; the right type, so that the look-ups of the second pass run no Python code.
define internal i1 @.dict(ptr %x, i64 %count, ptr %keys, ptr %values) nounwind {
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
  br i1 %same.size, label %first.pass, label %no
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
""",
    "keyword": """
; The place of the keyword among the names of a call, or -1. The guess is tried first, then identity, then equality.
define internal i64 @.keyword(ptr %names, i64 %count, ptr %key, i64 %guess) nounwind {
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
""",
}

_OUTPUTS = {
    "new": """
; A fresh ndarray: the object goes to %object, its data pointer to %output.
define internal i1 @.new(ptr %descr, i32 %ndim, ptr %dims, ptr %object, ptr %output) nounwind {
start:
  %incref = load ptr, ptr $Py_IncRef
  call void %incref(ptr %descr)
  %ndarray = load ptr, ptr $ndarray
  %make = load ptr, ptr $PyArray_NewFromDescr
  %x = call ptr %make(ptr %ndarray, ptr %descr, i32 %ndim, ptr %dims, ptr null, ptr null, i32 0, ptr null)
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
""",
    "box": """
; A fresh scalar object by its type's allocator: the object goes to %object, the address of its value to %output.
define internal i1 @.box(ptr %type, ptr %alloc, i64 %offset, ptr %object, ptr %output) nounwind {
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
""",
    "pack_tuple": """
; A tuple of the items, whose references it takes over; the items' words become null.
define internal ptr @.pack_tuple(ptr %items, i64 %count) nounwind {
start:
  %make = load ptr, ptr $PyTuple_New
  %x = call ptr %make(i64 %count)
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  %places = getelementptr i8, ptr %x, i64 $tuple_items
  call void @.move(ptr %places, ptr %items, i64 %count)
  ret ptr %x
no:
  ret ptr null
}
""",
    "pack_list": """
; The same as a list.
define internal ptr @.pack_list(ptr %items, i64 %count) nounwind {
start:
  %make = load ptr, ptr $PyList_New
  %x = call ptr %make(i64 %count)
  %failed = icmp eq ptr %x, null
  br i1 %failed, label %no, label %yes
yes:
  %places.at = getelementptr i8, ptr %x, i64 $list_items
  %places = load ptr, ptr %places.at
  call void @.move(ptr %places, ptr %items, i64 %count)
  ret ptr %x
no:
  ret ptr null
}
""",
    "pack_dict": """
; A dict of the items under the keys.
define internal ptr @.pack_dict(ptr %keys, ptr %items, i64 %count) nounwind {
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
""",
    "move": """
; Move references from one row of words to another; null stays behind.
define internal void @.move(ptr %to, ptr %from, i64 %count) nounwind {
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
""",
    "clear": """
; Set a row of words to null.
define internal void @.clear(ptr %items, i64 %count) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %next]
  %at = getelementptr ptr, ptr %items, i64 %i
  store ptr null, ptr %at
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %next, label %done
done:
  ret void
}
""",
    "each": """
; Call Py_IncRef or Py_DecRef for each word of a row; both take null.
define internal void @.each(ptr %function, ptr %items, i64 %count) nounwind {
start:
  br label %next
next:
  %i = phi i64 [0, %start], [%i.next, %next]
  %at = getelementptr ptr, ptr %items, i64 %i
  %x = load ptr, ptr %at
  call void %function(ptr %x)
  %i.next = add i64 %i, 1
  %more = icmp slt i64 %i.next, %count
  br i1 %more, label %next, label %done
done:
  ret void
}
""",
    "miss": """
; self._miss(*args, **kwargs), with the arguments of the call as they came.
define internal ptr @.miss(ptr %self, ptr %args, i64 %nargsf, ptr %kwnames) nounwind {
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
""",
}

HELPERS: Mapping[str, str] = {name: text.strip() for name, text in (_CHECKS | _OUTPUTS).items()}
