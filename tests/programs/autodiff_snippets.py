# ruff: noqa: I001
"""First steps with JAX, as introductions to it have them, with tracejit in its place."""

import tracejit as jax
from tracejit import grad

# Define a simple function
def func(x):
    return x ** 2 + 2 * x

# Compute the gradient of the function
grad_func = jax.grad(func)

# Call the gradient function on a value
x_value = 3.0
gradient = grad_func(x_value)
print(gradient)  # Output: 8.0, since d(x^2 + 2x)/dx = 2x + 2, and 2*3 + 2 = 8

# Compute second-order derivative
grad_grad_func = jax.grad(jax.grad(func))

second_order_gradient = grad_grad_func(x_value)
print(second_order_gradient)  # Output: 2.0, since the second derivative of x^2 + 2x is constant (2)

def f(x):
    return x**2 + 3*x

df_dx = grad(f)
print(df_dx(2.0))  # prints 7.0
