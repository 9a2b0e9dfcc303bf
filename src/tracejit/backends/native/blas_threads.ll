; Between @alone and @usual BLAS works on the thread that calls it. Its setting is one for
; the process: the first who comes changes it, the last who goes puts it back. The setter returns
; what was set before.

@setting = internal global [128 x i8] zeroinitializer, align 64
@users = internal global i64 0
@before = internal global i32 0

declare i32 @pthread_mutex_init(ptr, ptr)
declare i32 @pthread_mutex_lock(ptr)
declare i32 @pthread_mutex_unlock(ptr)

; Begin, and begin again in the child of a fork.
define void @reset() nounwind {
  store i64 0, ptr @users
  %setting = call i32 @pthread_mutex_init(ptr @setting, ptr null)
  ret void
}

define void @alone(ptr %setter) nounwind {
start:
  %locked = call i32 @pthread_mutex_lock(ptr @setting)
  %users = load i64, ptr @users
  %more = add i64 %users, 1
  store i64 %more, ptr @users
  %first = icmp eq i64 %users, 0
  br i1 %first, label %change, label %done
change:
  %before = call i32 %setter(i32 1)
  store i32 %before, ptr @before
  br label %done
done:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @setting)
  ret void
}

define void @usual(ptr %setter) nounwind {
start:
  %locked = call i32 @pthread_mutex_lock(ptr @setting)
  %users = load i64, ptr @users
  %fewer = sub i64 %users, 1
  store i64 %fewer, ptr @users
  %last = icmp eq i64 %fewer, 0
  br i1 %last, label %change, label %done
change:
  %usual = load i32, ptr @before
  %changed = call i32 %setter(i32 %usual)
  br label %done
done:
  %unlocked = call i32 @pthread_mutex_unlock(ptr @setting)
  ret void
}
