// Package store keeps records. (The full package doc comes with the store.)
package store
